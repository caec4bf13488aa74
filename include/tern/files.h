// The options for files of a folder that a server answers with.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace tern {

/// The options of Server::files().
struct FilesOptions {
  /// The names of files that answer for their folder, the preferred one first. Empty: a folder has
  /// no page. A folder is never listed.
  std::vector<std::string> index{"index.html"};
  /// Values of Cache-Control, e.g. {{"assets/*", "max-age=31536000, immutable"}, {"*",
  /// "no-cache"}}. The first pattern that fits counts; without one the field is not sent. '*'
  /// stands for any characters. A pattern with a slash is compared with the path inside of the
  /// folder, another one with the name of the file. RFC 9111 §5.2.2.
  std::vector<std::pair<std::string, std::string>> cache_control{};
  /// true: "app.js.br" or "app.js.gz" beside "app.js" is sent instead of it to clients that take
  /// this coding, unless it is older than "app.js". RFC 9110 §12.5.3.
  bool precompressed = false;
  /// Media types by extension, e.g. {{"glb", "model/gltf-binary"}}. They go before the usual ones.
  std::vector<std::pair<std::string, std::string>> content_types{};
};

}  // namespace tern
