# Finds hiredis (Debian: libhiredis-dev) and makes the target tern::hiredis. The package of Debian 12 has no
# such target.
include(${CMAKE_CURRENT_LIST_DIR}/TernFindLibrary.cmake)
tern_find_library(TernRedis hiredis/hiredis.h hiredis tern::hiredis)
