/*
 * Calls that write without a bound, hide errors or keep state behind the caller's back are compile
 * errors everywhere (the build includes this file first). Each has a replacement in base/.
 */
#ifndef BASE_BANNED_H
#define BASE_BANNED_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#undef strcpy
#undef strcat
#undef strncpy
#undef strncat
#undef sprintf
#undef vsprintf
#undef strtok
#undef atoi
#undef atol
#undef atoll
#undef gets
#undef gmtime
#undef localtime
#undef ctime
#undef asctime
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok atoi atol atoll gets
#pragma GCC poison gmtime localtime ctime asctime tmpnam mktemp

#endif
