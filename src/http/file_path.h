// The file that a path of a request names.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace tern::http {

/// A path inside of a folder.
struct FilePath {
  std::string path{};      ///< decoded, without a slash at either end; empty: the folder itself
  bool is_folder = false;  ///< the request's path ended with a slash

  bool operator==(const FilePath&) const = default;
};

/// Returns the file that `path` names inside of a folder; `path` is empty or begins with a slash,
/// as received and without a query. Each part between slashes is percent-decoded once. Returns
/// nothing if no file may be served for it: a part is empty, begins with a dot (but not the name
/// ".well-known", RFC 8615), or has a slash, a backslash or a control character after decoding; or
/// a '%' has no two hexadecimal digits behind it. So ".." never reaches the file system. Throws
/// std::bad_alloc.
std::optional<FilePath> file_path(std::string_view path);

/// Returns whether `text` fits to a pattern in which '*' stands for any number of any characters.
bool fits_pattern(std::string_view pattern, std::string_view text) noexcept;

}  // namespace tern::http
