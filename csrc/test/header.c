/* Compiled as C99, C11, C17 and C++17 with every warning: the public headers need nothing but themselves. */
#include "segnas/backend.h"
#include "segnas/segnas.h"

int segnas_header_compiles(void);
int segnas_header_compiles(void) { return SEGNAS_VERSION_MAJOR; }
