# Installs the library, the public headers, a CMake package and a pkg-config file.
include(CMakePackageConfigHelpers)

set(tern_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/tern)

install(TARGETS tern EXPORT ternTargets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
foreach(bridge nats redis)
  if(NOT bridge IN_LIST tern_bridges)
    list(FILTER tern_public_headers EXCLUDE REGEX "/${bridge}\\.h$")   # it is of no use without its library
  endif()
endforeach()
install(FILES ${tern_public_headers} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tern)
install(EXPORT ternTargets NAMESPACE tern:: DESTINATION ${tern_package_dir})

configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/ternConfig.cmake.in
  ${PROJECT_BINARY_DIR}/ternConfig.cmake INSTALL_DESTINATION ${tern_package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/ternConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/ternConfig.cmake ${PROJECT_BINARY_DIR}/ternConfigVersion.cmake
  DESTINATION ${tern_package_dir})

# The prefix is relative to the place of the file, so an installed tree may be moved, and `--prefix` at
# install time has its effect.
file(RELATIVE_PATH tern_pc_to_prefix
  ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
configure_file(${CMAKE_CURRENT_LIST_DIR}/tern.pc.in ${PROJECT_BINARY_DIR}/tern.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/tern.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# Each bridge is a component of the package, with a pkg-config file of its own.
foreach(bridge IN LISTS tern_bridges)
  install(TARGETS tern_${bridge} EXPORT tern_${bridge}_targets
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT tern_${bridge}_targets FILE tern_${bridge}Targets.cmake NAMESPACE tern::
    DESTINATION ${tern_package_dir})
  install(FILES ${CMAKE_CURRENT_LIST_DIR}/Find${tern_bridge_${bridge}_module}.cmake
    ${CMAKE_CURRENT_LIST_DIR}/TernFindLibrary.cmake
    DESTINATION ${tern_package_dir})
  set(bridge_requires ${tern_bridge_${bridge}_requires})
  configure_file(${CMAKE_CURRENT_LIST_DIR}/tern-bridge.pc.in ${PROJECT_BINARY_DIR}/tern-${bridge}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/tern-${bridge}.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endforeach()
