#pragma once

#include "tern/http.h"

#include "base/reason_phrase.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

// Writing HTTP: every header line of tern, of either role, goes through append_field.

namespace tern::http {

using base::reason_phrase;

/// Cuts `out` back to the length it had, unless kept: a head is appended whole or not at all.
class Draft {
 public:
  explicit Draft(std::string& out) noexcept : out_(out), before_(out.size()) {}
  Draft(const Draft&) = delete;
  Draft& operator=(const Draft&) = delete;
  ~Draft() {
    if (!kept_) out_.resize(before_);
  }
  void keep() noexcept { kept_ = true; }

 private:
  std::string& out_;
  std::size_t before_;
  bool kept_ = false;
};

/// Appends "name: value\r\n". False, and nothing is appended, when the name is no token or the
/// value has a control character (RFC 9110 §5.1, §5.5): nobody can smuggle in a line of his own.
[[nodiscard]] bool append_field(std::string& out, std::string_view name, std::string_view value);

/// Fields that tern writes itself and that an application may not: Connection, Content-Length,
/// Transfer-Encoding, Upgrade and all that begin with Sec-WebSocket-.
bool is_own_field(std::string_view name) noexcept;

/// append_field for each field of an application, which must not be one of tern's own.
[[nodiscard]] bool append_fields(std::string& out,
                                 std::span<const std::pair<std::string, std::string>> fields);

/// Why these fields of an application may not be sent, naming the first that may not: for logs and
/// errors. Empty: they may. Throws std::bad_alloc.
std::string why_unfit(std::span<const std::pair<std::string, std::string>> fields);
/// The same of an answer, its status included.
std::string why_unfit(const Response& response);

/// Appends the status line, e.g. "HTTP/1.1 404 Not Found\r\n".
void append_status_line(std::string& out, int status);

/// Whether an answer of this status has content, and with it a Content-Length: not 1xx, 204, 304.
/// RFC 9110 §6.4.1, §8.6.
constexpr bool has_content(int status) noexcept {
  return status >= 200 && status != 204 && status != 304;
}

/// Appends the head of an answer: status line, its fields, `own_fields`, Content-Length, Connection
/// (close; Upgrade when `own_fields` has one, RFC 9110 §7.8) and the blank line. Not the body: that
/// is the caller's, who leaves it out for HEAD and where !has_content(). `date_line` is the
/// Date field with its CRLF, for a Response that has none (RFC 9110 §6.6.1); empty: a server
/// without a clock must not send one. False, and nothing is appended, when the status is not
/// 200-599 or a field of the Response may not be sent (append_fields).
[[nodiscard]] bool write_response(std::string& out, const Response& response,
                                  std::span<const HeaderField> own_fields, bool close_connection,
                                  std::string_view date_line = {});

}  // namespace tern::http
