// Turns the values of the flags into options. Each error names its flag and repeats no secret.
#include "connect/fill.h"

#include "connect/request.h"
#include "connect/write_out.h"

#include <CLI/CLI.hpp>
#include <functional>
#include <stdexcept>

namespace command {
namespace {

// Each error names the flag that is wrong.
void named(const std::string& flag, const std::function<void()>& work) {
  try {
    work();
  } catch (const std::invalid_argument& wrong) {
    throw CLI::ValidationError(flag, wrong.what());
  }
}

tern::Proxy proxy_of(const FlagValues& values) {
  tern::Proxy proxy = tern::Proxy::from_environment();
  if (values.proxy) {
    if (values.proxy->empty()) return {};
    auto parsed = tern::Proxy::parse(*values.proxy);
    if (!parsed) throw CLI::ValidationError("--proxy", parsed.error().message());
    proxy = *std::move(parsed);
  }
  if (values.no_proxy) proxy.bypass(*values.no_proxy);
  if (const std::string& user = values.proxy_user; !user.empty()) {
    const std::size_t colon = user.find(':');
    if (colon == user.npos) throw CLI::ValidationError("--proxy-user", "needs NAME:PASSWORD");
    proxy.credentials(user.substr(0, colon), user.substr(colon + 1));
  }
  if (!values.proxy_ca.empty()) proxy.tls({.ca_file = values.proxy_ca});
  return proxy;
}

void fill_dial(tern::DialOptions& dial, const FlagValues& values) {
  if (values.compress) dial.deflate = tern::Deflate{};
  if (values.follow) dial.max_redirects = values.max_redirects;
  if (values.ipv4) dial.family = tern::AddressFamily::ipv4;
  if (values.ipv6) dial.family = tern::AddressFamily::ipv6;
  if (dial.unix_socket.empty()) dial.proxy = proxy_of(values);
  if (values.connect_timeout) dial.timeout = *values.connect_timeout;
  if (values.pong_timeout) dial.timeouts.pong = *values.pong_timeout;
  dial.limits.max_message_bytes = values.max_message;
  // The queue has at most high_water_bytes and one message, because the run waits then.
  dial.limits.max_queued_bytes = 2 * values.max_message + (std::size_t{4} << 20);
}

bool is_number(const std::string& text) {
  return text.find_first_not_of("0123456789") == text.npos;
}

}  // namespace

// CLI11's own text would repeat the argument, which may be a URL with a password.
void refuse_extras(const std::vector<std::string>& arguments, const FlagValues& values) {
  if (arguments.empty()) return;
  const std::string& first = arguments.front();
  if (!first.starts_with('-')) {
    // "--retry 3 URL" has two words that no flag takes, because the number may be absent.
    if (values.retries == "true" && (is_number(first) || is_number(values.url))) {
      throw CLI::ValidationError("--retry", "its number stands behind '=', as in --retry=3");
    }
    throw CLI::ValidationError("URL", "there is more than one");
  }
  throw CLI::ValidationError(first.substr(0, first.find('=')), "there is no such flag");
}

void fill(ConnectOptions& options, const FlagValues& values) {
  if (options.output_file == "-") options.output_file.clear();  // stdout, as in curl
  named("URL", [&] { set_url(options, values.url); });
  for (const std::string& header : values.headers) {
    named("--header", [&] { add_header(options, header); });
  }
  if (!values.origin.empty()) options.dial.headers.emplace_back("Origin", values.origin);
  if (!values.user.empty()) named("--user", [&] { set_user(options, values.user); });
  if (!values.close.empty()) named("--close", [&] { set_close(options, values.close); });
  fill_dial(options.dial, values);
  // The library judges a silent peer after a ping of its own, which should not come beside ours.
  if (options.ping) options.dial.timeouts.silence = 2 * *options.ping;

  if (values.hex) options.encoding = Encoding::hex;
  if (values.base64) options.encoding = Encoding::base64;
  if (values.binary || values.hex || values.base64) options.type = tern::MessageType::binary;
  if (values.null) options.separator = '\0';
  for (const std::string& message : values.messages) {
    named("--send", [&] { options.first_messages.push_back(decode_message(options, message)); });
  }
  if (values.one) options.count = 1;
  if (values.wait) {
    options.at_eof = AtEof::wait;
    options.wait = *values.wait;
  }
  if (values.no_close) options.at_eof = AtEof::stay;
  if (values.exit_on_eof) options.at_eof = AtEof::exit;
  named("--retry", [&] { set_retries(options, values.retries); });
  named("--write-out", [&] { check_write_out(options.write_out); });
}

}  // namespace command
