// Writes HTTP heads. In both roles, each header line with text of the application or of the peer
// goes through append_field.
#pragma once

#include "tern/http.h"

#include "base/reason_phrase.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace tern::http {

using base::reason_phrase;

/// Restores the length of `out` unless keep() was called, so that a head is appended as a whole or
/// not at all.
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

/// Appends "name: value\r\n". Returns false and appends nothing if the name is not a token or the
/// value has a control character, because such text could add a line of its own. RFC 9110 §5.1,
/// §5.5.
[[nodiscard]] bool append_field(std::string& out, std::string_view name, std::string_view value);

/// Whether tern writes this field itself, so that an application may not: Connection,
/// Content-Length, Transfer-Encoding, Upgrade and all names that begin with Sec-WebSocket-.
bool is_own_field(std::string_view name) noexcept;

/// Calls append_field for each field of an application. Returns false at the first field that is
/// refused or that tern writes itself; the fields before it are appended then.
[[nodiscard]] bool append_fields(std::string& out,
                                 std::span<const std::pair<std::string, std::string>> fields);

/// Why these fields of an application may not be sent, for logs and errors. The text names the
/// first such field; it is empty if all may be sent. Throws std::bad_alloc.
std::string why_unfit(std::span<const std::pair<std::string, std::string>> fields);
/// The same for a response; its status is checked as well.
std::string why_unfit(const Response& response);

/// Appends the status line, e.g. "HTTP/1.1 404 Not Found\r\n".
void append_status_line(std::string& out, int status);

/// Whether a response of this status has content and a Content-Length: all except 1xx, 204 and 304.
/// RFC 9110 §6.4.1, §8.6.
constexpr bool has_content(int status) noexcept {
  return status >= 200 && status != 204 && status != 304;
}

/// How a peer knows where the body of a response ends. RFC 9112 §6.3.
enum class BodyForm : std::uint8_t {
  none,         ///< there is no body
  sized,        ///< Content-Length
  chunked,      ///< Transfer-Encoding: chunked
  until_close,  ///< the end of the connection, for HTTP/1.0
};

/// Returns the form for a peer that speaks HTTP/1.`minor_version`. HEAD is not considered.
BodyForm body_form(const Response& response, int minor_version) noexcept;

/// Appends the head of a response: status line, its fields, `own_fields`, Content-Length or
/// Transfer-Encoding, Connection and the blank line. Connection has "close" if `close_connection`,
/// and "Upgrade" if `own_fields` has an Upgrade field (RFC 9110 §7.8). The caller appends the body,
/// except for HEAD and if !has_content(). `date_line` is a Date field with its CRLF. It is used if
/// the Response has no Date (RFC 9110 §6.6.1). It is empty on a server without a clock, because
/// such a server must not send the field. Returns false and appends nothing if the status is not
/// 200-599 or a field of the Response may not be sent (append_fields).
[[nodiscard]] bool write_response(std::string& out, const Response& response,
                                  std::span<const HeaderField> own_fields, bool close_connection,
                                  std::string_view date_line = {}, int minor_version = 1);

}  // namespace tern::http
