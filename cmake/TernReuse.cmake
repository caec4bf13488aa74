# Tests and programs are compiled once by g++ and linked twice. Clang's sanitized builds instrument all code. In
# g++'s build only the library is instrumented, so its tests and programs are the objects of another build, in
# the folder TERN_OBJECTS.
set(TERN_OBJECTS "" CACHE PATH "A build whose objects of tests and programs are linked; empty: compile them")
set(tern_only_library OFF)
if(TERN_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL GNU)
  set(tern_only_library ON)
endif()

# tern_executable(<name> <source>…): add_executable. The sources are relative to the current folder.
function(tern_executable name)
  set(sources ${ARGN})
  if(TERN_OBJECTS)
    file(RELATIVE_PATH folder ${PROJECT_SOURCE_DIR} ${CMAKE_CURRENT_SOURCE_DIR})
    list(TRANSFORM sources REPLACE "^${CMAKE_CURRENT_SOURCE_DIR}/" "")
    list(TRANSFORM sources REPLACE "(.+)" "${TERN_OBJECTS}/${folder}/CMakeFiles/${name}.dir/\\1.o")
    set_source_files_properties(${sources} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
  endif()
  add_executable(${name} ${sources})
  set_target_properties(${name} PROPERTIES LINKER_LANGUAGE CXX)
endfunction()

# tern_user_code(<target>): tern_own_code for a test or a program.
function(tern_user_code target)
  if(tern_only_library)
    set(TERN_SANITIZE "")   # only in this function
  endif()
  tern_own_code(${target})
endfunction()

# tern_instrumented_first(<program>): an inline function that the library and a program both contain comes
# from the first file that the linker reads. That must be the library, because it is instrumented.
function(tern_instrumented_first program)
  if(tern_only_library)
    target_link_options(${program} PRIVATE
      LINKER:--whole-archive $<TARGET_FILE:tern> LINKER:--no-whole-archive)
  endif()
endfunction()
