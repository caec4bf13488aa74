// Checks three rules of no_proxy lists. Neither case nor a dot at the end of a host counts. A list
// matches exactly if one of its entries does. `*` matches every host. Input: the port in two bytes,
// the host as a length and its bytes, then the list.
//
// Subject: src/client/no_proxy.cc
#include "client/no_proxy.h"
#include "support/http_heads.h"
#include "support/input.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using tern::client::NoProxy;
  using tern::fuzz::require;
  tern::fuzz::Input input(data, std::min<std::size_t>(size, 4096));
  const unsigned high = input.take();
  const auto port = static_cast<std::uint16_t>(high * 256 + input.take());
  const std::string host = input.take_bytes();
  std::string list;
  while (!input.empty()) list += static_cast<char>(input.take());

  const bool matches = NoProxy(list).matches(host, port);
  bool any = false;
  constexpr std::string_view separators = ", \t\r\n";
  for (std::size_t at = 0; at < list.size();) {
    const std::size_t end = std::min(list.find_first_of(separators, at), list.size());
    any |= NoProxy(list.substr(at, end - at)).matches(host, port);
    at = end + 1;
  }
  require(matches == any);

  std::string upper = host;
  for (char& c : upper) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  require(NoProxy(list).matches(upper, port) == matches);
  const bool is_name = !tern::net::Address::parse(host, port) && !host.ends_with('.') &&
                       !tern::net::Address::parse(host + '.', port);
  if (is_name) require(NoProxy(list).matches(host + '.', port) == matches);
  require(NoProxy(list + ",*").matches(host, port));
  return 0;
}
