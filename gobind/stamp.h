/* Written by go run ./tools/stamp. */
#ifndef SEGNAS_STAMP_H
#define SEGNAS_STAMP_H
/* Of segnas.h and backend.h: a plug-in of another interface is refused. */
#define SEGNAS_INTERFACE_HASH 0xbab7868f0d1ea648ull
#endif
