// A hit costs one system call: the look at the file by its path. That look finds every change: also
// a link that leads elsewhere, and a folder that was exchanged. Otherwise the file would be opened,
// looked at, read, looked at again and closed. One thing the look does not find: a folder was moved
// out of the site, and a link to it leads to the same file. So an answer has an age.
#include "server/file_cache.h"

#include "net/sealed_copy.h"

#include <cstddef>
#include <iterator>
#include <memory>
#include <span>
#include <utility>

namespace tern::server {

const Response* FileCache::find(std::string_view path, const net::Folder& folder) {
  const auto found = by_path_.find(path);
  if (found == by_path_.end()) return nullptr;
  const Place place = found->second;
  const bool is_old = std::chrono::steady_clock::now() - place->opened >= bounds_.age;
  if (is_old || folder.look_at(place->file) != place->version) {
    drop(place);
    return nullptr;
  }
  entries_.splice(entries_.begin(), entries_, place);
  if (place->answer.body().size() >= bounds_.least_copied && place->answer.body_file() < 0)
    copy(*place);
  return &place->answer;
}

// The kernel copies a body on its way to the socket. From a file it refers to the pages instead.
// The file that was requested could change while the socket has its pages, so the copy never
// changes.
void FileCache::copy(Entry& entry) {
  if (copies_ >= bounds_.copies) return;
  const auto contents = std::make_shared<Contents>();
  contents->text = entry.answer.shared_body();
  contents->copy = net::sealed_copy(std::as_bytes(std::span(*contents->text)));
  if (!contents->copy) return;
  entry.answer.set_shared_body({contents, contents->text.get()}, contents->copy.get());
  ++copies_;
}

bool FileCache::takes(const net::FileIdentity& version) const noexcept {
  const auto now = std::chrono::system_clock::now();
  return version.facts.size <= bounds_.file_bytes && version.changed <= now - bounds_.settled &&
         version.facts.modified <= now - bounds_.settled;
}

const Response& FileCache::keep(std::string_view path, std::string file,
                                const net::FileIdentity& version, Response answer) {
  if (const auto found = by_path_.find(path); found != by_path_.end()) drop(found->second);
  entries_.push_front({.path = std::string(path),
                       .file = std::move(file),
                       .version = version,
                       .answer = std::move(answer),
                       .opened = std::chrono::steady_clock::now()});
  const Place place = entries_.begin();
  try {
    by_path_.emplace(place->path, place);
  } catch (...) {
    entries_.pop_front();
    throw;
  }
  bytes_ += place->answer.body().size();
  while (entries_.size() > 1 && (entries_.size() > bounds_.files || bytes_ > bounds_.bytes)) {
    drop(std::prev(entries_.end()));
  }
  return place->answer;
}

void FileCache::drop(Place place) noexcept {
  bytes_ -= place->answer.body().size();
  if (place->answer.body_file() >= 0) --copies_;
  by_path_.erase(place->path);
  entries_.erase(place);
}

}  // namespace tern::server
