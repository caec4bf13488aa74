// The Response that a handler returns, and the lines that it becomes on the wire (RFC 9112 §4).
//
// Strings of the application stand between our line ends. A line end inside of such a string would
// begin a line that the application did not intend (response splitting). Such a string is refused
// and not repaired, because a repair would hide the fault from the application.
#include "http/response.h"

#include "http/body_source.h"
#include "http/token.h"

#include <algorithm>
#include <array>

namespace tern {
namespace {

// Fields whose value is not a list. A second line of the name would contradict the first (RFC 9110
// §5.3). These are the fields of RFC 9110, 9111, 6266, 6797 and of the Fetch standard.
constexpr std::array<std::string_view, 16> single_fields{"Content-Type",
                                                         "Content-Location",
                                                         "Content-Range",
                                                         "Content-Disposition",
                                                         "Date",
                                                         "ETag",
                                                         "Last-Modified",
                                                         "Expires",
                                                         "Age",
                                                         "Location",
                                                         "Retry-After",
                                                         "Server",
                                                         "Strict-Transport-Security",
                                                         "Access-Control-Allow-Origin",
                                                         "Access-Control-Allow-Credentials",
                                                         "Access-Control-Max-Age"};

bool is_single(std::string_view name) noexcept {
  return std::ranges::any_of(single_fields,
                             [&](std::string_view each) { return http::iequals(each, name); });
}

}  // namespace

Response Response::status(int code, std::string text) {
  Response response;
  if (text.empty()) text = http::reason_phrase(code);
  if (http::has_content(code)) response = Response::text(std::move(text));
  response.code_ = code;
  return response;
}

Response Response::text(std::string body) {
  return Response::body(std::move(body), "text/plain; charset=utf-8");
}

Response Response::html(std::string body) {
  return Response::body(std::move(body), "text/html; charset=utf-8");
}

Response Response::json(std::string text) {
  return Response::body(std::move(text), "application/json");
}

Response Response::body(std::string bytes, std::string content_type) {
  return shared(std::make_shared<const std::string>(std::move(bytes)), std::move(content_type));
}

Response Response::shared(std::shared_ptr<const std::string> body, std::string content_type) {
  Response response;
  response.body_ = std::move(body);
  response.fields_.emplace_back("Content-Type", std::move(content_type));
  return response;
}

Response Response::stream(std::string content_type,
                          UniqueFunction<std::optional<std::string>()> next) {
  return pulled(200, std::make_shared<http::StreamSource>(std::move(next)))
      .header("Content-Type", std::move(content_type));
}

Response Response::pulled(int code, std::shared_ptr<http::BodySource> source) {
  Response response;
  response.code_ = code;
  response.source_ = std::move(source);
  return response;
}

Response Response::redirect(std::string location, int code) {
  constexpr std::array codes{301, 302, 303, 307, 308};
  if (std::ranges::find(codes, code) == codes.end()) {
    return status(500, "a redirect cannot have the status " + std::to_string(code));
  }
  if (!http::is_reference(location)) {
    return status(500, "a redirect needs a location: a path or a URL, percent-encoded");
  }
  return status(code).header("Location", std::move(location));
}

Response& Response::header(std::string name, std::string value) & {
  if (is_single(name)) {
    const auto first = std::ranges::find_if(
        fields_, [&](const auto& field) { return http::iequals(field.first, name); });
    if (first != fields_.end()) {
      first->second = std::move(value);
      return *this;
    }
  }
  fields_.emplace_back(std::move(name), std::move(value));
  return *this;
}

Response Response::header(std::string name, std::string value) && {
  return std::move(header(std::move(name), std::move(value)));
}

}  // namespace tern

namespace tern::http {

bool append_field(std::string& out, std::string_view name, std::string_view value) {
  if (!is_token(name) || !is_field_value(value)) return false;
  out.append(name).append(": ").append(value).append("\r\n");
  return true;
}

bool is_own_field(std::string_view name) noexcept {
  constexpr std::string_view prefix = "Sec-WebSocket-";
  return iequals(name, "Connection") || iequals(name, "Content-Length") ||
         iequals(name, "Transfer-Encoding") || iequals(name, "Upgrade") ||
         iequals(name.substr(0, prefix.size()), prefix);
}

bool append_fields(std::string& out, std::span<const std::pair<std::string, std::string>> fields) {
  for (const auto& [name, value] : fields) {
    if (is_own_field(name) || !append_field(out, name, value)) return false;
  }
  return true;
}

std::string why_unfit(std::span<const std::pair<std::string, std::string>> fields) {
  for (const auto& [name, value] : fields) {
    const std::string quoted = "header field \"" + name + "\"";
    if (!is_token(name)) return quoted + ": the name is no token (RFC 9110 §5.1)";
    if (is_own_field(name)) return quoted + ": tern writes this field itself";
    if (!is_field_value(value)) return quoted + ": the value has a control character";
  }
  return {};
}

std::string why_unfit(const Response& response) {
  if (response.code() < 200 || response.code() > 599) {
    return "status " + std::to_string(response.code()) + " is not 200 to 599";
  }
  return why_unfit(response.fields());
}

void append_status_line(std::string& out, int status) {
  out.append("HTTP/1.1 ").append(std::to_string(status)).append(" ");
  out.append(reason_phrase(status)).append("\r\n");
}

BodyForm body_form(const Response& response, int minor_version) noexcept {
  if (!has_content(response.code())) return BodyForm::none;
  if (response.source() == nullptr || response.source()->size()) return BodyForm::sized;
  return minor_version > 0 ? BodyForm::chunked : BodyForm::until_close;
}

namespace {

std::uint64_t size_of_body(const Response& response) noexcept {
  if (response.source() == nullptr) return response.body().size();
  return response.source()->size().value_or(0);
}

// How the peer knows where the body ends (RFC 9112 §6.3).
bool append_framing(std::string& out, const Response& response, int minor_version) {
  switch (body_form(response, minor_version)) {
    case BodyForm::sized:
      return append_field(out, "Content-Length", std::to_string(size_of_body(response)));
    case BodyForm::chunked:
      return append_field(out, "Transfer-Encoding", "chunked");
    case BodyForm::none:
    case BodyForm::until_close:
      break;
  }
  return true;
}

}  // namespace

bool write_response(std::string& out, const Response& response,
                    std::span<const HeaderField> own_fields, bool close_connection,
                    std::string_view date_line, int minor_version) {
  const int status = response.code();
  if (status < 200 || status > 599) return false;
  Draft draft(out);
  append_status_line(out, status);
  if (!append_fields(out, response.fields())) return false;
  bool valid = true;
  const auto is_date = [](const auto& field) { return iequals(field.first, "Date"); };
  if (std::ranges::none_of(response.fields(), is_date)) out += date_line;
  for (const HeaderField& field : own_fields) valid &= append_field(out, field.name, field.value);
  valid &= append_framing(out, response, minor_version);
  const bool upgrade = count(own_fields, "Upgrade") != 0;
  if (close_connection || upgrade) {
    const std::string_view close = upgrade ? "close, Upgrade" : "close";
    valid &= append_field(out, "Connection", close_connection ? close : "Upgrade");
  }
  out.append("\r\n");
  if (valid) draft.keep();
  return valid;
}

}  // namespace tern::http
