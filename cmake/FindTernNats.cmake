# Finds libnats (Debian: libnats-dev) and makes the target tern::libnats. The package's own configuration is
# not used, because that of Debian 12 wants a file that the package does not have.
include(${CMAKE_CURRENT_LIST_DIR}/TernFindLibrary.cmake)
tern_find_library(TernNats nats/nats.h nats tern::libnats)
