// Files of folders as answers.
#pragma once

#include "tern/error.h"
#include "tern/files.h"
#include "tern/http.h"

#include "net/folder.h"
#include "server/file_cache.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

namespace tern::server {

/// The answer to a request for a file.
struct FileAnswer {
  std::optional<Response> response{};
  const Response* kept = nullptr;  ///< in the cache, instead of `response`
  std::error_code error{};         ///< of a 503 or 500: the failure of the system

  /// Null if there is no such file. Lifetime: that of this object and the next use of the cache.
  const Response* get() const noexcept {
    if (kept != nullptr) return kept;
    return response ? &*response : nullptr;
  }
};

/// One call of Server::files(). Thread: any, at the same time, after open().
class FileSite {
 public:
  FileSite(std::string prefix, std::string folder, FilesOptions options);

  /// Returns why it can never work; empty if it can.
  std::string why_invalid() const;
  /// Opens the folder, if that was not done before.
  Result<void> open();
  const std::string& prefix() const noexcept { return prefix_; }
  /// Returns whether this path is at or behind the prefix.
  bool covers(std::string_view path) const noexcept;
  /// Answers GET, HEAD and OPTIONS, and other methods with 405. `cache` belongs to the caller's
  /// thread. Throws std::bad_alloc.
  FileAnswer answer(const Request& request, FileCache& cache) const;

 private:
  struct Found;

  Found find(const Request& request) const;
  bool enter_folder(Found& found) const;
  void choose_coding(const Request& request, Found& found) const;
  const Response* keep(const Request& request, const Found& found, FileCache& cache) const;
  Response respond(const Request& request, Found&& found) const;
  Response with_body(const Request& request, Found&& found, std::string etag,
                     std::chrono::sys_seconds modified) const;
  void add_fields(Response& response, const Found& found, std::string etag,
                  std::chrono::sys_seconds modified) const;
  std::string_view cache_control_of(std::string_view path) const noexcept;
  std::string_view type_of(std::string_view path) const noexcept;

  std::string prefix_;  // without a slash at its end; empty: every path
  std::string folder_path_;
  FilesOptions options_;
  net::Folder folder_{};
  bool open_ = false;
};

/// The folders of a server. They are added before the workers run.
class FileSites {
 public:
  /// Throws std::bad_alloc.
  void add(std::string prefix, std::string folder, FilesOptions options);
  /// Returns the first reason why the server must not listen; empty if there is none.
  const std::string& problem() const noexcept { return problem_; }
  /// Opens all folders. Errors: those of the system, with the folder.
  Result<void> open();
  /// Returns the folder with the longest prefix that covers the path; null if there is none.
  const FileSite* find(std::string_view path) const noexcept;

 private:
  std::vector<std::unique_ptr<FileSite>> sites_{};  // the longest prefix first
  std::string problem_{};
};

}  // namespace tern::server
