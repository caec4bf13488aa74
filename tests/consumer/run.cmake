# Builds and runs main.cc against tern, and <bridge>.cc for each of BRIDGES, in one of three ways:
#   installed     cmake --install, find_package
#   subdirectory  add_subdirectory
#   pkgconfig     cmake --install, pkg-config --static
file(REMOVE_RECURSE ${WORK})
file(MAKE_DIRECTORY ${WORK})

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT result EQUAL 0)
    list(JOIN ARGN " " command)
    message(FATAL_ERROR "${command}\n${output}")
  endif()
endfunction()

set(programs consumer)
foreach(bridge IN LISTS BRIDGES)
  list(APPEND programs consumer_${bridge})
endforeach()

function(build_with_cmake)
  list(JOIN BRIDGES "," bridges)   # a list would become several arguments
  run(${CMAKE_COMMAND} -G ${GENERATOR} -S ${CMAKE_CURRENT_LIST_DIR} -B ${WORK}/build
    -DCMAKE_CXX_COMPILER=${CXX} -DCMAKE_CXX_FLAGS=-O0 -DBRIDGES=${bridges} ${ARGN})
  foreach(program IN LISTS programs)
    run(${CMAKE_COMMAND} --build ${WORK}/build --target ${program})
    run(${WORK}/build/${program})
  endforeach()
endfunction()

set(prefix ${WORK}/prefix)
if(NOT WAY STREQUAL subdirectory)
  run(${CMAKE_COMMAND} --install ${TERN_BINARY} --prefix ${prefix})
endif()

if(WAY STREQUAL installed)
  if(EXISTS ${TERN_BINARY}/bin/tern)
    run(${prefix}/bin/tern --version)
  endif()
  build_with_cmake(-DCMAKE_PREFIX_PATH=${prefix})
elseif(WAY STREQUAL subdirectory)
  # Some projects set this for all of their targets. The Release build compiles each file alone.
  build_with_cmake(-DTERN_SOURCE=${TERN_SOURCE} -DCMAKE_UNITY_BUILD=ON)
else()
  file(GLOB_RECURSE pc ${prefix}/*/tern.pc)
  get_filename_component(pc_dir "${pc}" DIRECTORY)
  foreach(program IN LISTS programs)
    string(REGEX REPLACE "^consumer" "tern" package ${program})   # tern, tern_nats
    string(REGEX REPLACE "^consumer_?" "" source ${program})
    if(NOT source)
      set(source main)
    endif()
    string(REPLACE "_" "-" package ${package})
    execute_process(COMMAND ${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${pc_dir}
        pkg-config --cflags --libs --static ${package}
      OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
    separate_arguments(flags UNIX_COMMAND "${flags}")
    run(${CXX} -std=c++20 ${CMAKE_CURRENT_LIST_DIR}/${source}.cc ${flags} -o ${WORK}/${program})
    run(${WORK}/${program})
  endforeach()
endif()
