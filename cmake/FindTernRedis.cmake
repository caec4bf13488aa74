# Finds hiredis (Debian: libhiredis-dev) and makes the target tern::hiredis. The package of Debian 12 has no
# such target.
find_path(TernRedis_INCLUDE_DIR hiredis/hiredis.h)
find_library(TernRedis_LIBRARY hiredis)
mark_as_advanced(TernRedis_INCLUDE_DIR TernRedis_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(TernRedis REQUIRED_VARS TernRedis_LIBRARY TernRedis_INCLUDE_DIR)

if(TernRedis_FOUND AND NOT TARGET tern::hiredis)
  add_library(tern::hiredis UNKNOWN IMPORTED)
  set_target_properties(tern::hiredis PROPERTIES
    IMPORTED_LOCATION "${TernRedis_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${TernRedis_INCLUDE_DIR}")
endif()
