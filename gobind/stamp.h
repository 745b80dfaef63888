/* Written by go run ./tools/stamp. */
#ifndef SEGNAS_STAMP_H
#define SEGNAS_STAMP_H
/* Of segnas.h and backend.h: a plug-in of another interface is refused. */
#define SEGNAS_INTERFACE_HASH 0x120d6236df032720ull
#endif
