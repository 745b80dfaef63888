/* Written by go run ./tools/stamp. */
#ifndef SEGNAS_STAMP_H
#define SEGNAS_STAMP_H
/* Of segnas.h and backend.h: a plug-in of another interface is refused. */
#define SEGNAS_INTERFACE_HASH 0x83703d0ab8619933ull
#endif
