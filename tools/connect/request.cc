// Checks the parts of the request that flags name, before anything connects.
#include "connect/request.h"

#include "text.h"

#include <charconv>
#include <fstream>
#include <stdexcept>
#include <string_view>

namespace command {
namespace {

bool is_name(std::string_view name, std::string_view other) {
  if (name.size() != other.size()) return false;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i] >= 'A' && name[i] <= 'Z' ? static_cast<char>(name[i] + 32) : name[i];
    if (c != other[i]) return false;
  }
  return true;
}

std::string_view without_blanks(std::string_view text) {
  constexpr std::string_view blanks = " \t\r";
  const std::size_t begin = text.find_first_not_of(blanks);
  if (begin == text.npos) return {};
  return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

void add_field(ConnectOptions& options, std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == line.npos || colon == 0) {
    throw std::invalid_argument("needs 'Name: value' or @file");
  }
  const std::string_view name = line.substr(0, colon);
  const std::string value(without_blanks(line.substr(colon + 1)));
  if (is_name(name, "host")) {
    options.dial.host = value;
  } else if (is_name(name, "user-agent")) {
    options.dial.user_agent = value;
  } else {
    options.dial.headers.emplace_back(name, value);
  }
}

}  // namespace

void set_url(ConnectOptions& options, std::string url) {
  const std::size_t scheme = url.find("://");
  const bool has_scheme = scheme != url.npos && scheme < url.find_first_of("/?");
  if (!has_scheme) url.insert(0, "ws://");
  const std::size_t authority = url.find("://") + 3;
  if (url.find("+unix://") == url.npos) {
    const std::size_t end = std::min(url.find_first_of("/?#", authority), url.size());
    const std::size_t at = url.rfind('@', end);
    if (at != url.npos && at >= authority) {
      const std::string user = url.substr(authority, at - authority);
      url.erase(authority, at + 1 - authority);
      const std::size_t colon = user.find(':');
      const std::string password = colon == user.npos ? "" : user.substr(colon + 1);
      set_user(options, percent_decode(user.substr(0, colon)) + ':' + percent_decode(password));
    }
  }
  options.url = std::move(url);
}

void add_header(ConnectOptions& options, const std::string& text) {
  if (!text.starts_with('@')) return add_field(options, text);
  std::ifstream file(text.substr(1));
  if (!file) throw std::invalid_argument("cannot read the file '" + text.substr(1) + "'");
  for (std::string line; std::getline(file, line);) {
    if (!without_blanks(line).empty()) add_field(options, line);
  }
}

void set_user(ConnectOptions& options, const std::string& text) {
  if (text.find(':') == text.npos) throw std::invalid_argument("needs NAME:PASSWORD");
  std::erase_if(options.dial.headers,
                [](const auto& field) { return is_name(field.first, "authorization"); });
  options.dial.headers.emplace_back("Authorization", "Basic " + to_base64(text));
}

void set_close(ConnectOptions& options, const std::string& text) {
  int number = 0;
  const char* const end = text.data() + text.size();
  const auto [behind, fault] = std::from_chars(text.data(), end, number);
  const auto code = tern::to_close_code(number);
  if (fault != std::errc() || (behind != end && *behind != ':') || !code) {
    throw std::invalid_argument("needs a code that may be sent (1000-1003, 1007-1014, 3000-4999)");
  }
  options.close_code = *code;
  if (behind != end) options.close_reason.assign(behind + 1, end);
  if (options.close_reason.size() > 123) {
    throw std::invalid_argument("the reason is longer than 123 bytes");
  }
}

void set_retries(ConnectOptions& options, const std::string& text) {
  options.retry = !text.empty();
  if (text.empty() || text == "true") return;
  const char* const end = text.data() + text.size();
  const auto [behind, fault] = std::from_chars(text.data(), end, options.retries);
  if (fault != std::errc() || behind != end || options.retries == 0) {
    throw std::invalid_argument("needs a number above 0, not '" + text + "'");
  }
}

std::string decode_message(const ConnectOptions& options, const std::string& text) {
  switch (options.encoding) {
    case Encoding::plain:
      return text;
    case Encoding::hex:
      if (auto bytes = from_hex(text)) return *std::move(bytes);
      throw std::invalid_argument("not pairs of hexadecimal digits");
    case Encoding::base64:
      if (auto bytes = from_base64(text)) return *std::move(bytes);
      throw std::invalid_argument("not base64");
  }
  return {};
}

}  // namespace command
