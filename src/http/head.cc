// Parses the head of a request or a response. The grammar is that of RFC 9112, without the leniency
// that caused security holes in other parsers:
//
//   request-head  = [ CRLF ] method SP target SP version CRLF *( field CRLF ) CRLF
//   version       = "HTTP/1.1" / "HTTP/1.0"
//   response-head = "HTTP/1." DIGIT SP 3DIGIT [ SP reason ] CRLF *( field CRLF ) CRLF
//   field         = token ":" OWS value OWS
//   target        = origin-form / absolute-form / "*"                        "*" for OPTIONS only
//   origin-form   = "/" *( visible ASCII but "#" )
//   absolute-form = ( "http" / "https" ) "://" host [ ":" port ] [ origin-form / "?" … ]
//
// A target in absolute form is reported in origin form, and its host is reported as the Host field,
// because RFC 9112 §3.2.2 defines its meaning so.
//
// These are refused: LF or CR alone (§2.2 allows a server to accept a bare LF, but request
// smuggling uses the difference between servers), folded lines (§5.2), white space before the colon
// (§5.1), NUL and other controls, empty names. One empty line before a request is accepted, because
// old clients send one (§2.2).
//
// The parser is a state machine with one state for each part of the grammar. It reads the input in
// place, passes a whole part at once if the part is there, and can stop in any state when the input
// ends. So the result does not depend on how the bytes were cut. The bytes taken are then appended
// to `text_` in one piece. Most bytes of a head belong to fields; fields are scanned 16 bytes at a
// time.
//
// Limits are checked by position: the parser never reads byte number max_head + 1.
#include "http/head.h"

#include "base/assert.h"
#include "http/authority.h"
#include "http/chars.h"
#include "http/token.h"
#include "simd/find.h"

#include <algorithm>
#include <limits>

namespace tern::http {
namespace {

// Offsets are 32 bits wide.
std::uint32_t clamp(std::size_t limit) noexcept {
  constexpr std::size_t most = std::numeric_limits<std::uint32_t>::max();
  return static_cast<std::uint32_t>(std::min(limit, most));
}

const char* skip(const char* from, const char* end, unsigned classes) noexcept {
  while (from != end && is(*from, classes)) ++from;
  return from;
}

// Does the same as skip(tchar), but passes letters and '-' by vectors, because nearly all names
// consist of them.
const char* skip_name(const char* from, const char* end) noexcept {
  return skip(simd::find_if(from, end, is_rare_in_names), end, tchar);
}

}  // namespace

// The input that is not read yet, and the offset that each byte will have in text_.
struct HeadParser::Cursor {
  const char* next;
  const char* end;
  const char* begin;
  std::uint32_t begin_offset;

  std::uint32_t offset() const noexcept {
    return begin_offset + static_cast<std::uint32_t>(next - begin);
  }
};

void HeadParser::start(Kind kind, const Limits& limits) noexcept {
  text_.clear();
  ranges_.clear();
  fields_.clear();
  taken_ = 0;
  max_head_ = clamp(limits.max_head_bytes);
  max_line_ = clamp(limits.max_request_line_bytes);
  max_fields_ = limits.max_header_fields;
  kind_ = kind;
  switch (kind) {
    case Kind::request:
      state_ = State::before_line;
      break;
    case Kind::response:
      state_ = State::version;
      break;
    case Kind::trailers:
      state_ = State::field_start;
      break;
  }
  line_begin_ = 0;
  matched_ = 0;
  status_code_ = 0;
  error_ = {};
}

void HeadParser::release() noexcept {
  start(kind_, {});
  state_ = State::failed;
  std::string().swap(text_);
  std::vector<Field>().swap(ranges_);
  std::vector<HeaderField>().swap(fields_);
}

HeadParser::Status HeadParser::status() const noexcept {
  if (state_ == State::done) return Status::done;
  return state_ == State::failed ? Status::failed : Status::more;
}

std::size_t HeadParser::feed(std::span<const std::byte> input) {
  if (status() != Status::more || input.empty()) return 0;
  const char* const begin = reinterpret_cast<const char*>(input.data());
  const std::size_t room = std::min<std::size_t>(input.size(), max_head_ - taken_);
  Cursor at{.next = begin, .end = begin + room, .begin = begin, .begin_offset = taken_};
  while (at.next != at.end && status() == Status::more) step(at);
  const auto took = static_cast<std::size_t>(at.next - begin);
  text_.append(begin, took);
  taken_ = at.offset();
  if (state_ == State::done) {
    finish();
  } else if (taken_ == max_head_ && status() == Status::more) {
    fail(Errc::head_too_big);  // the blank line cannot arrive within the limit
  }
  return took;
}

Request HeadParser::request(std::string_view remote_address) const noexcept {
  TERN_ASSERT(state_ == State::done && kind_ == Kind::request);
  return Request({.method = view(method_),
                  .target = view(target_),
                  .fields = fields_,
                  .remote_address = remote_address,
                  .minor_version = minor_ - '0'});
}

ResponseHead HeadParser::response() const noexcept {
  TERN_ASSERT(state_ == State::done && kind_ == Kind::response);
  return {.status = status_code_,
          .reason = view(reason_),
          .fields = fields_,
          .minor_version = minor_ - '0'};
}

void HeadParser::step(Cursor& at) {
  switch (state_) {
    case State::before_line:
    case State::before_line_lf:
      return empty_line(at);
    case State::method:
    case State::target_start:
    case State::target:
      return request_line(at);
    case State::version:
      return kind_ == Kind::request ? request_line(at) : version(at);
    case State::status_code:
    case State::status_end:
    case State::reason:
      return status_line(at);
    case State::line_lf:
    case State::value_lf:
      return line_feed(at, State::field_start);
    case State::head_lf:
      return line_feed(at, State::done);
    default:
      return fields(at);
  }
}

void HeadParser::empty_line(Cursor& at) noexcept {
  if (state_ == State::before_line_lf) {
    line_feed(at, State::method);
    line_begin_ = at.offset();
  } else if (*at.next == '\r') {
    ++at.next;
    state_ = State::before_line_lf;
  } else {
    state_ = State::method;
  }
  method_.begin = at.offset();
}

// Parses the request line as far as it has arrived. Each part sees only the bytes that the line's
// limit allows, and the CR. The function is flattened, because then the cursor stays in registers.
[[gnu::flatten]] void HeadParser::request_line(Cursor& input) noexcept {
  const std::uint32_t room = max_line_ - (input.offset() - line_begin_);
  if (room == 0 && *input.next != '\r') return fail(Errc::request_line_too_long);
  Cursor at = input;
  at.end = at.next + std::min<std::ptrdiff_t>(at.end - at.next, std::max<std::uint32_t>(room, 1));
  if (state_ == State::method) method(at);
  if (state_ == State::target_start && at.next != at.end) begin_target(at);
  if (state_ == State::target) target(at);
  if (state_ == State::version && at.next != at.end) version(at);
  input.next = at.next;
}

void HeadParser::method(Cursor& at) noexcept {
  at.next = skip(at.next, at.end, tchar);
  if (at.next == at.end) return;
  method_.end = at.offset();
  if (*at.next != ' ' || method_.end == method_.begin) return fail(Errc::http_malformed);
  ++at.next;
  state_ = State::target_start;
}

void HeadParser::begin_target(Cursor& at) noexcept {
  // The first character decides the form. finish() checks the rest of an absolute form.
  const char first = *at.next;
  const bool asterisk = first == '*' && has_method(at, "OPTIONS");  // RFC 9112 §3.2.4
  if (first != '/' && to_lower(first) != 'h' && !asterisk) return fail(Errc::http_malformed);
  target_.begin = at.offset();
  state_ = State::target;
}

// A part of the method may have arrived in an earlier piece of the input.
bool HeadParser::has_method(const Cursor& at, std::string_view method) const noexcept {
  if (method_.end - method_.begin != method.size()) return false;
  for (std::uint32_t i = 0; i < method.size(); ++i) {
    const std::uint32_t offset = method_.begin + i;
    const bool here = offset >= at.begin_offset;
    if ((here ? at.begin[offset - at.begin_offset] : text_[offset]) != method[i]) return false;
  }
  return true;
}

void HeadParser::target(Cursor& at) noexcept {
  at.next = simd::find_if(at.next, at.end, ends_target);
  if (at.next == at.end) return;
  if (*at.next != ' ') return fail(Errc::http_malformed);
  target_.end = at.offset();
  ++at.next;
  state_ = State::version;
}

// Parses "HTTP/" DIGIT "." DIGIT and the next byte: CR in a request line, SP in a status line.
void HeadParser::version(Cursor& at) noexcept {
  constexpr std::string_view form = "HTTP/d.d";
  constexpr std::string_view usual = "HTTP/1.1";  // has this form: no check of each byte
  if (matched_ == 0 && std::string_view(at.next, at.end).starts_with(usual)) {
    major_ = minor_ = '1';
    matched_ = usual.size();
    at.next += usual.size();
  }
  for (; at.next != at.end; ++at.next) {
    const char c = *at.next;
    if (matched_ == form.size()) {
      const bool request = kind_ == Kind::request;
      if (c != (request ? '\r' : ' ')) return fail(Errc::http_malformed);
      // A response may have any minor version (RFC 9110 §2.5), so that an error can report it.
      if (major_ != '1' || (request && minor_ > '1')) return fail(Errc::http_version_unsupported);
      ++at.next;
      matched_ = 0;
      state_ = request ? State::line_lf : State::status_code;
      return;
    }
    const char expected = form[matched_];
    if (expected == 'd' ? !is(c, digit) : c != expected) return fail(Errc::http_malformed);
    if (matched_ == 5) major_ = c;
    if (matched_ == 7) minor_ = c;
    ++matched_;
  }
}

void HeadParser::status_line(Cursor& at) noexcept {
  const char c = *at.next;
  if (state_ == State::status_code) {
    if (!is(c, digit) || (matched_ == 0 && c == '0')) return fail(Errc::http_malformed);
    status_code_ = status_code_ * 10 + (c - '0');
    ++at.next;
    if (++matched_ == 3) state_ = State::status_end;
  } else if (state_ == State::status_end && c == ' ') {
    ++at.next;
    reason_.begin = at.offset();
    state_ = State::reason;
  } else {
    // Some servers end the line directly after the code, without the SP of the grammar.
    if (state_ == State::status_end) reason_.begin = at.offset();
    if (state_ == State::reason) at.next = simd::find_if(at.next, at.end, ends_value);
    reason_.end = at.offset();
    if (at.next == at.end) return;
    if (*at.next != '\r') return fail(Errc::http_malformed);
    ++at.next;
    state_ = State::line_lf;
  }
}

// Parses the field lines that have arrived; flattened like request_line(). The end of a line is
// searched before the end of its name, because the next line then depends on no other result and
// the processor works on several lines at once.
[[gnu::flatten]] void HeadParser::fields(Cursor& input) {
  Cursor at = input;
  do {
    const char* const line_end = simd::find_if(at.next, at.end, ends_value);
    if (state_ == State::field_start) begin_field(at);
    if (state_ == State::name) name(at);
    if (state_ == State::value) value(at, line_end);
  } while (state_ == State::field_start && at.next != at.end);
  input = at;
}

void HeadParser::begin_field(Cursor& at) {
  if (*at.next == '\r') {
    ++at.next;
    state_ = State::head_lf;
    return;
  }
  // Not a character of a token: a folded line, an empty name, a control or a bare LF.
  if (!is(*at.next, tchar)) return fail(Errc::http_malformed);
  if (ranges_.size() == max_fields_) return fail(Errc::too_many_header_fields);
  if (ranges_.empty()) ranges_.reserve(16);
  ranges_.emplace_back().name.begin = at.offset();
  state_ = State::name;
}

void HeadParser::name(Cursor& at) noexcept {
  at.next = skip_name(at.next, at.end);
  if (at.next == at.end) return;
  if (*at.next != ':') return fail(Errc::http_malformed);
  ranges_.back().name.end = at.offset();
  ++at.next;
  ranges_.back().value.begin = at.offset();
  state_ = State::value;
}

void HeadParser::value(Cursor& at, const char* line_end) noexcept {
  at.next = line_end;
  if (at.next == at.end) return;
  if (*at.next != '\r') return fail(Errc::http_malformed);
  ranges_.back().value.end = at.offset();
  ++at.next;
  state_ = State::value_lf;
  if (at.next != at.end) line_feed(at, State::field_start);
}

void HeadParser::line_feed(Cursor& at, State next) noexcept {
  if (*at.next != '\n') return fail(Errc::http_malformed);
  ++at.next;
  state_ = next;
}

void HeadParser::fail(Errc errc) noexcept {
  error_ = errc;
  state_ = State::failed;
}

// Makes views from the offsets and removes the white space around values (RFC 9112 §5.1).
void HeadParser::finish() {
  Range authority{};
  const bool rare_target = kind_ == Kind::request && text_[target_.begin] != '/';
  if (rare_target && !resolve_target(authority)) return fail(Errc::http_malformed);
  fields_.reserve(ranges_.size());
  for (const Field& found : ranges_) {
    fields_.push_back({.name = view(found.name), .value = trim(view(found.value))});
  }
  if (authority.end != 0) replace_host(view(authority));
}

// Handles a target that is not in origin form. Returns false if it has none of the three forms.
// `authority` becomes the authority of an absolute form.
bool HeadParser::resolve_target(Range& authority) {
  const std::string_view whole = view(target_);
  if (whole == "*") return true;
  const std::size_t scheme_end = whole.find("://");
  const std::string_view scheme = whole.substr(0, scheme_end);
  if (scheme_end == whole.npos || !(iequals(scheme, "http") || iequals(scheme, "https"))) {
    return false;
  }
  const std::size_t begin = scheme_end + 3;
  const std::size_t end = std::min(whole.find_first_of("/?", begin), whole.size());
  if (!parse_authority(whole.substr(begin, end - begin))) return false;
  authority = {target_.begin + static_cast<std::uint32_t>(begin),
               target_.begin + static_cast<std::uint32_t>(end)};
  if (end != whole.size() && whole[end] == '/') {
    target_.begin = authority.end;
    return true;
  }
  // An empty path is "/" (RFC 9110 §4.2.3): the origin form is written behind the head.
  const std::string target = '/' + std::string(whole.substr(end));
  target_.begin = static_cast<std::uint32_t>(text_.size());
  text_ += target;
  target_.end = static_cast<std::uint32_t>(text_.size());
  return true;
}

// Replaces a valid Host field (RFC 9112 §3.2.2). An invalid one stays, so that check_host refuses
// it.
void HeadParser::replace_host(std::string_view authority) noexcept {
  const auto host = std::ranges::find_if(
      fields_, [](const HeaderField& field) { return iequals(field.name, "Host"); });
  if (host != fields_.end() && parse_authority(host->value)) host->value = authority;
}

std::string_view HeadParser::view(Range range) const noexcept {
  return {text_.data() + range.begin, range.end - range.begin};
}

}  // namespace tern::http
