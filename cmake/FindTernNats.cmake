# Finds libnats (Debian: libnats-dev) and makes the target tern::libnats. The package's own configuration is
# not used, because that of Debian 12 wants a file that the package does not have.
find_path(TernNats_INCLUDE_DIR nats/nats.h)
find_library(TernNats_LIBRARY nats)
mark_as_advanced(TernNats_INCLUDE_DIR TernNats_LIBRARY)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(TernNats REQUIRED_VARS TernNats_LIBRARY TernNats_INCLUDE_DIR)

if(TernNats_FOUND AND NOT TARGET tern::libnats)
  add_library(tern::libnats UNKNOWN IMPORTED)
  set_target_properties(tern::libnats PROPERTIES
    IMPORTED_LOCATION "${TernNats_LIBRARY}"
    INTERFACE_INCLUDE_DIRECTORIES "${TernNats_INCLUDE_DIR}")
endif()
