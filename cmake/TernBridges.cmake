# Bridges are libraries of their own, because each needs the client library of its broker, and the core needs
# only OpenSSL and zlib. A bridge is built if that library is found; otherwise the build says what is missing.
#
# tern_bridge(<name> <find module> <target of the client library> <pkg-config name> <package>): makes
# tern::<name> of src/<name>/*.cc. It appends <name> to tern_bridges, the sources to tern_bridge_sources,
# and for the installation sets tern_bridge_<name>_requires.
set(tern_bridges "")
set(tern_bridge_sources "")

macro(tern_bridge name module client pkgconfig package)
  file(GLOB tern_${name}_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cc)
  if(tern_${name}_sources)
    find_package(${module} QUIET)
    if(${module}_FOUND)
      add_library(tern_${name} STATIC ${tern_${name}_sources})
      add_library(tern::${name} ALIAS tern_${name})
      target_include_directories(tern_${name} PRIVATE ${PROJECT_SOURCE_DIR}/src)
      target_link_libraries(tern_${name} PUBLIC tern::tern PRIVATE ${client} Threads::Threads)
      set_target_properties(tern_${name} PROPERTIES EXPORT_NAME ${name} UNITY_BUILD OFF)
      if(NOT PROJECT_IS_TOP_LEVEL)
        set_target_properties(tern_${name} PROPERTIES EXCLUDE_FROM_ALL ON)   # built if it is linked
      endif()
      tern_own_code(tern_${name})
      list(APPEND tern_bridges ${name})
      list(APPEND tern_bridge_sources ${tern_${name}_sources})
      set(tern_bridge_${name}_module ${module})
      set(tern_bridge_${name}_requires ${pkgconfig})
    else()
      message(STATUS "The bridge tern::${name} is not built, because this is missing: ${package}")
    endif()
  endif()
endmacro()

if(TERN_BUILD_BRIDGES)
  tern_bridge(nats TernNats tern::libnats libnats "libnats (package libnats-dev)")
  tern_bridge(redis TernRedis tern::hiredis hiredis "hiredis (package libhiredis-dev)")
else()
  message(STATUS "The bridges tern::nats and tern::redis are not built, because TERN_BUILD_BRIDGES is off")
endif()
