#pragma once

#include <string_view>

namespace tern::http {

/// Returns the media type for the name of a file by its extension, in any case of letters: ".js" is
/// "text/javascript; charset=utf-8". Other names are "application/octet-stream". RFC 9110 §8.3.
std::string_view content_type_of(std::string_view file_name) noexcept;

}  // namespace tern::http
