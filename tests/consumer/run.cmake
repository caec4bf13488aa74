# Builds and runs main.cc against tern, in one of three ways:
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

function(build_with_cmake)
  run(${CMAKE_COMMAND} -G ${GENERATOR} -S ${CMAKE_CURRENT_LIST_DIR} -B ${WORK}/build
    -DCMAKE_CXX_COMPILER=${CXX} -DCMAKE_CXX_FLAGS=-O0 ${ARGN})
  run(${CMAKE_COMMAND} --build ${WORK}/build --target consumer)
  run(${WORK}/build/consumer)
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
  build_with_cmake(-DTERN_SOURCE=${TERN_SOURCE})
else()
  file(GLOB_RECURSE pc ${prefix}/*/tern.pc)
  get_filename_component(pc_dir "${pc}" DIRECTORY)
  execute_process(COMMAND ${CMAKE_COMMAND} -E env PKG_CONFIG_PATH=${pc_dir}
      pkg-config --cflags --libs --static tern
    OUTPUT_VARIABLE flags OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  separate_arguments(flags UNIX_COMMAND "${flags}")
  run(${CXX} -std=c++20 ${CMAKE_CURRENT_LIST_DIR}/main.cc ${flags} -o ${WORK}/consumer)
  run(${WORK}/consumer)
endif()
