// A malformed address may have the password anywhere, so no message repeats a part of it.
#include "redis/address.h"

#include "http/authority.h"
#include "http/percent.h"

#include <charconv>
#include <optional>
#include <utility>

namespace tern::redis {
namespace {

constexpr std::uint16_t default_port = 6379;

Error refuse(std::string_view why) noexcept { return Error::described(Errc::options_invalid, why); }

bool equal_in_any_case(std::string_view text, std::string_view lower) noexcept {
  if (text.size() != lower.size()) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c) != lower[i]) return false;
  }
  return true;
}

std::optional<int> parse_database(std::string_view text) noexcept {
  int number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end || number < 0) return {};
  return number;
}

// Takes "[user][:password]@" from the front. A password without a user belongs to the default user.
bool take_credentials(std::string_view& rest, Address& address) {
  const std::size_t at = rest.rfind('@', rest.find('/'));
  if (at == rest.npos) return true;
  const std::string_view pair = rest.substr(0, at);
  rest.remove_prefix(at + 1);
  const std::size_t colon = pair.find(':');
  auto user = http::percent_decode(pair.substr(0, colon));
  auto password =
      http::percent_decode(colon == pair.npos ? std::string_view() : pair.substr(colon + 1));
  if (!user || !password) return false;
  address.username = *std::move(user);
  address.password = *std::move(password);
  return true;
}

Result<Address> parse_unix(std::string_view rest, Address address) {
  const std::size_t query = rest.find('?');
  if (query != rest.npos) {
    const std::string_view parameter = rest.substr(query + 1);
    const auto database =
        parameter.starts_with("db=") ? parse_database(parameter.substr(3)) : std::optional<int>();
    if (!database) return refuse("\"?db=\" and a number may follow the path of a socket");
    address.database = *database;
  }
  auto path = http::percent_decode(rest.substr(0, query));
  if (!path || !path->starts_with('/') || path->find('\0') != path->npos) {
    return refuse("the path of a socket begins with '/'");
  }
  address.unix_path = *std::move(path);
  return address;
}

Result<Address> parse_host(std::string_view rest, Address address) {
  const std::size_t slash = rest.find('/');
  const auto place = http::parse_authority(rest.substr(0, slash));
  if (!place) return refuse("it has no valid host and port");
  if (place->port == 0) return refuse("the port is 0");
  address.host = place->host;
  address.port = place->port.value_or(default_port);
  if (slash != rest.npos && slash + 1 < rest.size()) {
    const auto database = parse_database(rest.substr(slash + 1));
    if (!database) return refuse("its path is not the number of a database");
    address.database = *database;
  }
  return address;
}

Result<Address> parse_address(std::string_view text) {
  if (text.starts_with('/')) return parse_unix(text, {});
  const std::size_t colon = text.find("://");
  Address address;
  if (colon == text.npos) return parse_host(text, std::move(address));
  const std::string_view scheme = text.substr(0, colon);
  text.remove_prefix(colon + 3);
  if (!take_credentials(text, address)) return refuse("a '%' in the user or password is not valid");
  if (equal_in_any_case(scheme, "redis")) return parse_host(text, std::move(address));
  if (equal_in_any_case(scheme, "unix")) return parse_unix(text, std::move(address));
  if (equal_in_any_case(scheme, "rediss")) {
    return refuse("rediss:// is not supported, because this client has no TLS");
  }
  return refuse("an address begins with \"redis://\" or \"unix://\"");
}

}  // namespace

std::string Address::name() const {
  if (host.empty()) return "unix://" + unix_path;
  return "redis://" + http::format_authority(host, port);
}

Result<std::vector<Address>> parse_addresses(std::string_view text) {
  std::vector<Address> all;
  const bool is_list = text.find(',') != text.npos;
  for (;;) {
    const std::size_t comma = text.find(',');
    auto address = parse_address(text.substr(0, comma));
    if (!address) {
      std::string where = "redis: address: ";
      if (is_list) where += "number " + std::to_string(all.size() + 1) + ": ";
      return Error::described(address.error().code(), where + address.error().message());
    }
    all.push_back(*std::move(address));
    if (comma == text.npos) return all;
    text.remove_prefix(comma + 1);
  }
}

}  // namespace tern::redis
