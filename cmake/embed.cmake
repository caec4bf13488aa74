# Run by tern_embed: turns the file INPUT into the header OUTPUT with the constant SYMBOL.
file(READ ${INPUT} bytes HEX)
string(REGEX REPLACE "(................................)" "\\1\n    " bytes "${bytes}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
get_filename_component(name ${INPUT} NAME)
file(WRITE ${OUTPUT} "// Made from ${name}; edit that.
#pragma once

#include <string_view>

inline constexpr char ${SYMBOL}_bytes[] = {
    ${bytes}0};
inline constexpr std::string_view ${SYMBOL}(${SYMBOL}_bytes, sizeof(${SYMBOL}_bytes) - 1);
")
