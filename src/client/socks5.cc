// The client of SOCKS5. The first bytes of each answer give the length of that answer. So a state
// consists of the kind of the next answer and the number of bytes that it still needs:
//
//   client: 5 n methods…                          proxy: 5 method               RFC 1928 §3
//   client: 1 n name… n password…                 proxy: 1 status               RFC 1929 §2
//   client: 5 1 0 type address… port              proxy: 5 reply 0 type address… port   §4, §6

#include "client/socks5.h"

#include "net/address.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace tern::client {
namespace {

enum Method : std::uint8_t { no_authentication = 0, name_and_password = 2, none_acceptable = 0xFF };
enum AddressType : std::uint8_t { ipv4 = 1, domain_name = 3, ipv6 = 4 };

constexpr std::uint8_t version = 5;
constexpr std::uint8_t authentication_version = 1;
constexpr std::uint8_t command_connect = 1;
constexpr std::size_t longest = 255;  // the length of a text is sent as one byte
constexpr std::size_t reply_head = 4;
constexpr std::size_t port_bytes = 2;

std::string bytes_of(std::initializer_list<std::uint8_t> bytes) {
  return std::string(bytes.begin(), bytes.end());
}

std::string with_length(std::string_view text) {
  return std::string(1, static_cast<char>(text.size())).append(text);
}

bool is_sendable(const Credentials& credentials) noexcept {
  const auto fits = [](std::string_view text) { return !text.empty() && text.size() <= longest; };
  return fits(credentials.name) && fits(credentials.password);
}

// RFC 1928 §6.
std::string_view text_of(std::uint8_t reply) noexcept {
  constexpr std::string_view texts[] = {
      "success",
      "the proxy failed",
      "the rules of the proxy do not allow the connection",
      "the network is unreachable",
      "the host is unreachable",
      "the connection was refused",
      "the time to live expired",
      "the proxy does not support CONNECT",
      "the proxy does not support this type of address",
  };
  return reply < std::size(texts) ? texts[reply]
                                  : "the proxy gave a reply that RFC 1928 does not define";
}

}  // namespace

Socks5::Socks5(const ProxyServer& proxy, std::string_view host, std::uint16_t port)
    : proxy_(proxy),
      host_(host.ends_with('.') ? host.substr(0, host.size() - 1) : host),
      port_(port) {
  if (host_.empty() || host_.size() > longest) {
    fail(Errc::proxy_failed, "SOCKS5 takes host names of 1 to 255 bytes");
  } else if (proxy.credentials && !is_sendable(*proxy.credentials)) {
    fail(Errc::proxy_failed, "SOCKS5 takes a name and a password of 1 to 255 bytes each");
  } else {
    say(proxy.credentials ? bytes_of({version, 2, no_authentication, name_and_password})
                          : bytes_of({version, 1, no_authentication}));
    expect(State::method, 2);
  }
}

void Socks5::say(std::string_view bytes) {
  output_.erase(0, std::exchange(sent_, 0));
  output_ += bytes;
}

void Socks5::expect(State state, std::size_t bytes) noexcept {
  state_ = state;
  need_ = bytes;
}

std::size_t Socks5::feed(std::span<const std::byte> input) {
  std::size_t taken = 0;
  while (status_ == ProxyStatus::more && taken < input.size()) {
    const std::size_t size = std::min(need_ - have_, input.size() - taken);
    std::ranges::copy(input.subspan(taken, size),
                      answer_.begin() + static_cast<std::ptrdiff_t>(have_));
    taken += size;
    have_ += size;
    if (have_ == need_) on_answer();
  }
  return taken;
}

void Socks5::end_of_input() {
  if (status_ != ProxyStatus::more) return;
  fail(Errc::proxy_failed, "the proxy closed the connection before it answered");
}

// A reply is read in three steps that share answer_: its head, the length of a name, the rest.
void Socks5::on_answer() {
  const auto at = [&](std::size_t place) { return std::to_integer<std::uint8_t>(answer_[place]); };
  switch (state_) {
    case State::method:
      return on_method();
    case State::authentication:
      have_ = 0;
      if (at(0) != authentication_version) {
        return fail(Errc::proxy_failed, "the proxy's answer does not follow RFC 1929");
      }
      if (at(1) != 0) {
        return fail(Errc::proxy_auth_required, "the proxy does not accept the name and password");
      }
      return ask_for_connection();
    case State::reply:
      return on_reply();
    case State::bound_name:
      return expect(State::bound_address, need_ + at(reply_head) + port_bytes);
    case State::bound_address:
      status_ = ProxyStatus::done;
  }
}

void Socks5::on_method() {
  const auto given = std::to_integer<std::uint8_t>(answer_[0]);
  const auto method = std::to_integer<std::uint8_t>(answer_[1]);
  have_ = 0;
  if (given != version) return fail(Errc::proxy_failed, "the proxy does not speak SOCKS5");
  if (method == no_authentication) return ask_for_connection();
  if (method == name_and_password && proxy_.credentials) {
    say(bytes_of({authentication_version}) + with_length(proxy_.credentials->name) +
        with_length(proxy_.credentials->password));
    return expect(State::authentication, 2);
  }
  if (method == none_acceptable) {
    return fail(Errc::proxy_auth_required,
                proxy_.credentials ? "the proxy wants another authentication than a password"
                                   : "the proxy wants an authentication");
  }
  fail(Errc::proxy_failed, "the proxy chose an authentication that was not offered");
}

void Socks5::ask_for_connection() {
  std::string request = bytes_of({version, command_connect, 0});
  if (const auto address = net::Address::parse(host_, port_)) {
    const auto bytes = address->bytes();
    request += static_cast<char>(bytes.size() == 4 ? ipv4 : ipv6);
    request.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  } else {
    request += static_cast<char>(domain_name) + with_length(host_);
  }
  say(request +
      bytes_of({static_cast<std::uint8_t>(port_ >> 8), static_cast<std::uint8_t>(port_ & 0xFF)}));
  expect(State::reply, reply_head);
}

void Socks5::on_reply() {
  const auto at = [&](std::size_t place) { return std::to_integer<std::uint8_t>(answer_[place]); };
  if (at(0) != version) return fail(Errc::proxy_failed, "the proxy does not speak SOCKS5");
  reply_ = at(1);
  if (reply_ != 0) {
    constexpr std::uint8_t forbidden = 2;
    return fail(reply_ == forbidden ? Errc::proxy_refused : Errc::proxy_failed, text_of(reply_));
  }
  switch (at(3)) {
    case ipv4:
      return expect(State::bound_address, reply_head + 4 + port_bytes);
    case ipv6:
      return expect(State::bound_address, reply_head + 16 + port_bytes);
    case domain_name:
      return expect(State::bound_name, reply_head + 1);
    default:
      fail(Errc::proxy_failed, "the proxy's reply has an unknown type of address");
  }
}

void Socks5::fail(Errc errc, std::string_view why) {
  status_ = ProxyStatus::failed;
  error_ = Error::described(errc, proxy_.name() + ": " + std::string(why));
}

}  // namespace tern::client
