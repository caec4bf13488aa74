// The box behind tern::Error.
//
// An Error is made where something has already gone wrong, perhaps for want of memory, so making or
// copying one never throws. Its details are boxed once and shared by all copies (they never change,
// so a count is enough). When the box cannot be had, the Error points at a box that is part of the
// program and says `no_memory`: that is the truth by then.

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

// Field names are compared without case (RFC 9110 §5.1); `base` may not use the function of `http`.
bool same_name(std::string_view a, std::string_view b) noexcept {
  return std::ranges::equal(a, b, {}, lower, lower);
}

// The first line of a body, if a terminal can show it and a person wants to read it: no controls,
// no markup, not longer than a line.
std::string_view first_line(std::string_view body) noexcept {
  constexpr std::size_t longest = 200;
  const std::string_view line = body.substr(0, body.find_first_of("\r\n"));
  const bool shown = std::ranges::none_of(line, [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return octet < 0x20 || octet >= 0x7F;
  });
  const bool markup = line.starts_with('<');
  return shown && !markup && line.size() <= longest ? line : std::string_view();
}

}  // namespace

struct Error::Detail {
  std::error_code code{};
  std::string stage{};
  Refusal refusal{};
  bool is_whole = false;  // the stage says it all
  mutable std::atomic<std::size_t> owners = 1;

  // The box of the program itself: never counted down to 0, since its first owner never leaves.
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

std::string_view Error::body() const noexcept {
  return detail_ ? std::string_view(detail_->refusal.body) : std::string_view();
}

}  // namespace tern
