# tern_own_code(<target>…): sets the warnings, sanitizers and counters of a target of this tree. All are
# private to the target, so they do not affect users who link tern.
function(tern_own_code)
  foreach(target IN LISTS ARGN)
    set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
    target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Wshadow)
    if(CMAKE_CXX_COMPILER_ID STREQUAL GNU AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
      # g++ 12 falsely warns of copies out of bounds where std::string is inlined (PR 105651, 105329, …).
      # AddressSanitizer finds real ones.
      target_compile_options(${target} PRIVATE
        -Wno-restrict -Wno-array-bounds -Wno-stringop-overflow)
    endif()
    if(TERN_WERROR)
      target_compile_options(${target} PRIVATE -Werror)
    endif()
    if(TERN_SANITIZE)
      target_compile_options(${target} PRIVATE
        -fsanitize=${TERN_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
      # An executable that links the static library needs the run-time too.
      target_link_options(${target} PUBLIC -fsanitize=${TERN_SANITIZE})
    endif()
    if(TERN_COVERAGE)
      target_compile_options(${target} PRIVATE --coverage -fprofile-update=atomic)
      target_link_options(${target} PUBLIC --coverage)
    endif()
  endforeach()
endfunction()
