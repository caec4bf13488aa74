// Answers with small files that a worker keeps in memory.
#pragma once

#include "tern/http.h"

#include "net/fd.h"
#include "net/folder.h"

#include <chrono>
#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

namespace tern::server {

/// The answers to GET with a whole file, by the path of the request. An answer counts only while
/// the path leads to the same version of the same file. Thread: the loop of its worker.
class FileCache {
 public:
  struct Bounds {
    std::size_t files = 512;
    std::size_t bytes = std::size_t{4} << 20;        ///< of all contents
    std::size_t file_bytes = std::size_t{64} << 10;  ///< of the contents of one file
    /// A file of at least this size that is requested again gets a copy for sendfile().
    std::size_t least_copied = std::size_t{16} << 10;
    std::size_t copies = 16;  ///< descriptors
    /// A file that was changed less than this time ago is not kept, because the times of files have
    /// a granularity: two changes may have the same time.
    std::chrono::nanoseconds settled = std::chrono::seconds(3);
    /// After this time the file is opened again by the safe call, which cannot leave the folder.
    std::chrono::nanoseconds age = std::chrono::seconds(10);
  };

  FileCache() noexcept : FileCache(Bounds{}) {}
  explicit FileCache(const Bounds& bounds) noexcept : bounds_(bounds) {}

  /// Returns the answer for this path of a request, after a look at its file; null if there is
  /// none. Lifetime: until the next call.
  const Response* find(std::string_view path, const net::Folder& folder);
  /// Whether a file of this version may be kept.
  bool takes(const net::FileIdentity& version) const noexcept;
  /// Keeps an answer with a body in memory. `file`: its path inside of the folder. Returns the
  /// answer. Lifetime: until the next call. Throws std::bad_alloc.
  const Response& keep(std::string_view path, std::string file, const net::FileIdentity& version,
                       Response answer);

  std::size_t files() const noexcept { return entries_.size(); }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  /// Owns a body.
  struct Contents {
    std::shared_ptr<const std::string> text;
    net::Fd copy;
  };
  struct Entry {
    std::string path;  // of the request
    std::string file;
    net::FileIdentity version;
    Response answer;
    std::chrono::steady_clock::time_point opened;
  };
  using Place = std::list<Entry>::iterator;

  void drop(Place place) noexcept;
  void copy(Entry& entry);

  Bounds bounds_;
  std::list<Entry> entries_{};  // the last one used first
  std::unordered_map<std::string_view, Place> by_path_{};
  std::size_t bytes_ = 0;
  std::size_t copies_ = 0;
};

}  // namespace tern::server
