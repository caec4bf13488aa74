# tern_embed(<target> <file> <symbol>) makes a header "<symbol>.h" for <target>. It defines
#   inline constexpr std::string_view <symbol>
# with the bytes of <file>. The header writes them as an array, because compilers limit the length of a
# string literal.
set(TERN_EMBED_SCRIPT ${CMAKE_CURRENT_LIST_DIR}/embed.cmake CACHE INTERNAL "")

function(tern_embed target file symbol)
  get_filename_component(input ${file} ABSOLUTE)
  set(directory ${CMAKE_CURRENT_BINARY_DIR}/embedded)
  set(header ${directory}/${symbol}.h)
  if(NOT TARGET tern_embed_${symbol})
    add_custom_command(
      OUTPUT ${header}
      COMMAND ${CMAKE_COMMAND} -DINPUT=${input} -DOUTPUT=${header} -DSYMBOL=${symbol}
              -P ${TERN_EMBED_SCRIPT}
      DEPENDS ${input} ${TERN_EMBED_SCRIPT}
      COMMENT "Embedding ${file}"
      VERBATIM)
    add_custom_target(tern_embed_${symbol} DEPENDS ${header})
  endif()
  add_dependencies(${target} tern_embed_${symbol})
  target_include_directories(${target} PRIVATE ${directory})
endfunction()
