// The head of an answer states the length and the version of the file. So bytes of another version
// must not follow it. If a file is replaced by rename() or removed, an open descriptor
// still reads the old version.
#include "server/file_source.h"

#include "base/last_error.h"

#include <algorithm>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace tern::server {

FileSource::FileSource(net::Fd file, const net::FileFacts& facts, std::uint64_t first,
                       std::uint64_t length, std::string name) noexcept
    : file_(std::move(file)),
      facts_(facts),
      at_(first),
      length_(length),
      left_(length),
      name_(std::move(name)) {}

std::optional<std::size_t> FileSource::read(std::span<std::byte> into) {
  if (left_ == 0) return {};
  const auto most = static_cast<std::size_t>(std::min<std::uint64_t>(into.size(), left_));
  const auto got = net::read_at(file_.get(), at_, into.first(most));
  if (!got) throw std::system_error(base::last_error(), "read the file " + name_);
  if (*got == 0 || net::facts_of(file_.get()) != facts_) {
    throw std::runtime_error("the file " + name_ + " was changed while it was sent");
  }
  at_ += *got;
  left_ -= *got;
  return got;
}

}  // namespace tern::server
