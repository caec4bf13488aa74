// Implements tern::Error: a pointer to a box with the details. Creating or copying an Error never
// throws, because the program creates it after another failure, perhaps when memory ran out.
//
// All copies share one box and count its owners. This is enough because the details never change.
// If the program cannot allocate the box, the Error points to a static box with the code
// `no_memory`, which is then the correct code.

#include "tern/error.h"

#include "base/reason_phrase.h"

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <string>

namespace tern {
namespace {

char lower(char c) noexcept { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; }

// Compares field names without regard to case (RFC 9110 §5.1). The room `http` has the same
// function, but `base` may not include it.
bool same_name(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(a, b, {}, lower, lower);
}

// Returns the first line of a body if it is useful to a person at a terminal: printable ASCII, no
// markup, at most 200 bytes. Otherwise returns nothing.
std::string_view first_line(std::string_view body) noexcept {
  constexpr std::size_t longest = 200;
  const std::string_view line = body.substr(0, body.find_first_of("\r\n"));
  const bool shown = std::ranges::none_of(line, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte >= 0x7F;
  });
  const bool markup = line.starts_with('<');
  return shown && !markup && line.size() <= longest ? line : std::string_view();
}

}  // namespace

struct Error::Detail {
  std::error_code code{};
  std::string stage{};
  Refusal refusal{};
  bool is_whole = false;  // `stage` is the whole message
  mutable std::atomic<std::size_t> owners = 1;

  // The static box. Its count never reaches 0, because the function itself stays an owner.
  static const Detail* no_memory() noexcept {
    alignas(Detail) static std::byte room[sizeof(Detail)];
    static const Detail* const detail = new (room) Detail{.code = Errc::no_memory};
    return detail;
  }

  static const Detail* box(std::error_code code, std::string_view stage, Refusal&& refusal,
                           bool is_whole = false) noexcept {
    try {
      return new Detail{code, std::string(stage), std::move(refusal), is_whole};
    } catch (const std::bad_alloc&) {
      return add_owner(no_memory());
    }
  }

  static const Detail* add_owner(const Detail* detail) noexcept {
    if (detail) detail->owners.fetch_add(1, std::memory_order_relaxed);
    return detail;
  }

  static void remove_owner(const Detail* detail) noexcept {
    if (detail && detail->owners.fetch_sub(1, std::memory_order_acq_rel) == 1) delete detail;
  }
};

Error::Error(std::error_code code, std::string_view stage) noexcept
    : detail_(Detail::box(code, stage, {})) {}

Error::Error(std::error_code code, std::string_view stage, Refusal refusal) noexcept
    : detail_(Detail::box(code, stage, std::move(refusal))) {}

Error Error::described(std::error_code code, std::string_view text) noexcept {
  Error error(code);
  Detail::remove_owner(std::exchange(error.detail_, Detail::box(code, text, {}, true)));
  return error;
}

Error::Error(const Error& other) noexcept : detail_(Detail::add_owner(other.detail_)) {}

Error::Error(Error&& other) noexcept : detail_(std::exchange(other.detail_, nullptr)) {}

Error& Error::operator=(Error other) noexcept {
  std::swap(detail_, other.detail_);
  return *this;
}

Error::~Error() { Detail::remove_owner(detail_); }

std::error_code Error::code() const noexcept { return detail_ ? detail_->code : std::error_code(); }

std::string Error::message() const {
  if (!detail_) return {};
  std::string text = detail_->stage;
  if (detail_->is_whole) return text;
  if (!text.empty()) text += ": ";
  text += detail_->code.message();
  if (const int status = http_status(); status != 0) {
    const std::string_view phrase = base::reason_phrase(status);
    text += " (HTTP " + std::to_string(status);
    if (!phrase.empty()) text.append(" ").append(phrase);
    text += ')';
  }
  const std::string_view line = first_line(body());
  if (!line.empty() && line != base::reason_phrase(http_status())) text.append(": ").append(line);
  return text;
}

int Error::http_status() const noexcept { return detail_ ? detail_->refusal.status : 0; }

std::string_view Error::header(std::string_view name) const noexcept {
  if (detail_) {
    for (const auto& [field_name, value] : detail_->refusal.fields) {
      if (same_name(field_name, name)) return value;
    }
  }
  return {};
}

std::span<const std::pair<std::string, std::string>> Error::headers() const noexcept {
  if (detail_ == nullptr) return {};
  return detail_->refusal.fields;
}

std::string_view Error::body() const noexcept {
  return detail_ ? std::string_view(detail_->refusal.body) : std::string_view();
}

}  // namespace tern
