// One call of read() asks the application for one piece at most, so that the caller can count the
// work: a function may return very many pieces that are empty.
#include "http/body_source.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <utility>

namespace tern::http {

StreamSource::StreamSource(Next next) noexcept : next_(std::move(next)) {}

std::optional<std::size_t> StreamSource::read(std::span<std::byte> into) {
  if (taken_ == piece_.size()) {
    if (!next_) throw std::bad_function_call();
    auto piece = next_();
    if (!piece) return {};
    piece_ = *std::move(piece);
    taken_ = 0;
  }
  const std::size_t size = std::min(into.size(), piece_.size() - taken_);
  if (size > 0) std::memcpy(into.data(), piece_.data() + taken_, size);
  taken_ += size;
  if (taken_ == piece_.size()) {  // a long piece must not stay in memory behind its last byte
    piece_ = {};
    taken_ = 0;
  }
  return size;
}

}  // namespace tern::http
