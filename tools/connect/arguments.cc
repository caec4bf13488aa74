// The flags of `tern connect`. Letters have curl's meaning where curl has them.
#include "connect/arguments.h"

#include "cli.h"
#include "connect/request.h"
#include "connect/write_out.h"

#include <functional>
#include <stdexcept>

namespace command {
namespace {

using Seconds = std::optional<std::chrono::nanoseconds>;

// The values that are put together when all flags are known.
struct Texts {
  std::string url{};
  std::vector<std::string> headers{};
  std::vector<std::string> messages{};
  std::string origin{};
  std::string user{};
  std::string close{};
  std::optional<std::string> proxy{};
  std::optional<std::string> no_proxy{};
  std::string proxy_user{};
  std::string proxy_ca{};
  std::string retries{};  // see set_retries()
  Seconds connect_timeout{};
  Seconds pong_timeout{};
  int max_redirects = 10;
  std::size_t max_message = std::size_t{64} << 20;
  bool follow = false;
  bool compress = false;
  bool ipv4 = false;
  bool ipv6 = false;
  bool binary = false;
  bool hex = false;
  bool base64 = false;
  bool null = false;
  bool one = false;
  bool no_close = false;
  bool exit_on_eof = false;
  Seconds wait{};
};

CLI::Option* add_seconds(CLI::App& app, const std::string& flag, Seconds& value,
                         const std::string& help) {
  const auto store = [&value, flag](const std::string& text) {
    double seconds = 0;
    const bool number = CLI::detail::lexical_cast(text, seconds);
    if (!number || !(seconds > 0 && seconds <= 1e9)) {
      throw CLI::ValidationError(flag, "needs a number of seconds above 0, not '" + text + "'");
    }
    value = std::chrono::ceil<std::chrono::nanoseconds>(std::chrono::duration<double>(seconds));
  };
  return app.add_option_function<std::string>(flag, store, help)->type_name("SECONDS");
}

CLI::Option* add_text(CLI::App& app, const std::string& flag, std::string& value,
                      const std::string& type, const std::string& help) {
  return app.add_option(flag, value, help)->check(cli::not_empty())->type_name(type);
}

// Each flag takes one value, so that the URL may stand behind it.
CLI::Option* add_list(CLI::App& app, const std::string& flag, std::vector<std::string>& values,
                      const std::string& type, const std::string& help) {
  return app.add_option(flag, values, help)->allow_extra_args(false)->type_name(type);
}

void add_request(CLI::App& app, ConnectOptions& options, Texts& texts) {
  app.option_defaults()->group("Request");
  add_list(app, "-H,--header", texts.headers, "FIELD",
           "'Name: value' to add to the request, or @file with such lines; may be repeated");
  add_list(app, "-s,--subprotocol", options.dial.protocols, "NAME",
           "subprotocol to offer, the preferred one first; may be repeated");
  add_text(app, "--origin", texts.origin, "ORIGIN", "the Origin field");
  app.add_option("-A,--user-agent", options.dial.user_agent, "the User-Agent field; empty: none")
      ->type_name("NAME");
  add_text(app, "-u,--user", texts.user, "NAME:PASSWORD", "Basic credentials for the server");
  app.add_flag("-z,--compress", texts.compress, "offer compression (permessage-deflate)");
  app.add_flag("-L,--location", texts.follow, "follow redirects");
  app.add_option("--max-redirs", texts.max_redirects, "number of redirects to follow (10)")
      ->check(CLI::Range(0, 100).description(""))
      ->needs("--location")
      ->type_name("N");
}

void add_tls(CLI::App& app, tern::TlsClient& tls) {
  app.option_defaults()->group("TLS");
  app.add_flag("-k,--insecure", tls.insecure_accept_any_certificate,
               "accept any certificate, even an impostor's");
  add_text(app, "--cacert", tls.ca_file, "FILE",
           "PEM file of certificates to trust instead of the system's");
  CLI::Option* certificate = add_text(app, "--cert", tls.certificate.certificate, "FILE",
                                      "PEM file of our own certificate");
  add_text(app, "--key", tls.certificate.private_key, "FILE",
           "PEM file of its key, if it is another file")
      ->needs(certificate);
  add_text(app, "--servername", tls.server_name, "NAME",
           "name to request and to expect, instead of the URL's host");
}

void add_way(CLI::App& app, ConnectOptions& options, Texts& texts) {
  app.option_defaults()->group("Way to the server");
  CLI::Option* proxy =
      app.add_option("-x,--proxy", texts.proxy,
                     "http, https, socks5 or socks5h URL of a proxy, instead of the "
                     "environment's; empty: none")
          ->type_name("URL");
  app.add_option("--noproxy", texts.no_proxy,
                 "hosts to reach without a proxy, instead of the environment's no_proxy")
      ->type_name("LIST");
  add_text(app, "--proxy-user", texts.proxy_user, "NAME:PASSWORD", "credentials for the proxy");
  add_text(app, "--proxy-cacert", texts.proxy_ca, "FILE",
           "PEM file of certificates to trust in an https:// proxy");
  CLI::Option* socket = add_text(app, "--unix-socket", options.dial.unix_socket, "PATH",
                                 "Unix socket to connect to; '@' in front: an abstract name")
                            ->excludes(proxy);
  add_text(app, "--connect-to", options.dial.connect_to, "HOST:PORT",
           "where to connect instead of the URL's host and port")
      ->excludes(socket);
  CLI::Option* ipv4 = app.add_flag("-4,--ipv4", texts.ipv4, "connect to IPv4 addresses only");
  app.add_flag("-6,--ipv6", texts.ipv6, "connect to IPv6 addresses only")->excludes(ipv4);
}

void add_times(CLI::App& app, ConnectOptions& options, Texts& texts) {
  app.option_defaults()->group("Times, in decimal seconds");
  add_seconds(app, "-m,--max-time", options.max_time, "end after this time, with code 28");
  add_seconds(app, "--connect-timeout", texts.connect_timeout,
              "time for one attempt to connect, up to the server's 101 (30)");
  add_seconds(app, "--idle", options.idle,
              "end after this time without a received message, with code 28");
  add_seconds(app, "--ping", options.ping, "send a ping at this interval");
  add_seconds(app, "--pong-timeout", texts.pong_timeout,
              "end if a ping gets no answer for this time (20)");
  CLI::Option* retry =
      app.add_flag("--retry", texts.retries,
                   "connect again when the connection fails or ends; --retry=N: at most N times "
                   "in a row");
  add_seconds(app, "--retry-max", options.retry_max, "longest wait between two attempts (60)")
      ->needs(retry);
}

void add_messages(CLI::App& app, Texts& texts) {
  app.option_defaults()->group("Messages");
  add_list(app, "-e,--send", texts.messages, "TEXT",
           "message to send when a connection opens, before stdin; may be repeated; sent again "
           "after each reconnect");
  CLI::Option* binary = app.add_flag("-B,--binary", texts.binary, "send binary messages");
  CLI::Option* hex = app.add_flag("--hex", texts.hex,
                                  "messages are hexadecimal digits, on stdin and stdout; they "
                                  "are sent as binary")
                         ->excludes(binary);
  app.add_flag("--base64", texts.base64, "the same with base64")->excludes(binary)->excludes(hex);
  app.add_flag("-0,--null", texts.null,
               "a NUL byte ends each message instead of a newline, on stdin and stdout");
  app.add_option("--max-message", texts.max_message,
                 "most bytes of one message, sent or received (67108864)")
      ->check(cli::positive())
      ->type_name("BYTES");
}

void add_end(CLI::App& app, ConnectOptions& options, Texts& texts) {
  app.option_defaults()->group("End");
  CLI::Option* one = app.add_flag(
      "-1,--one", texts.one, "close when stdin has been sent and one message has been received");
  CLI::Option* count = app.add_option("-N,--count", options.count, "the same with N messages")
                           ->check(cli::positive())
                           ->excludes(one)
                           ->type_name("N");
  CLI::Option* wait =
      add_seconds(app, "-w,--wait", texts.wait,
                  "when stdin has been sent, close after this time without a message");
  CLI::Option* no_close = app.add_flag("--no-close", texts.no_close,
                                       "when stdin has been sent, wait for the server to close")
                              ->excludes(wait);
  app.add_flag("-E,--exit-on-eof", texts.exit_on_eof,
               "when stdin has been sent, close and print nothing more")
      ->excludes(one)
      ->excludes(count)
      ->excludes(wait)
      ->excludes(no_close);
  app.add_option("--close", texts.close, "code and reason of our Close frame (1000)")
      ->type_name("CODE[:REASON]");
}

void add_output(CLI::App& app, ConnectOptions& options) {
  app.option_defaults()->group("Output");
  add_text(app, "-o,--output", options.output_file, "FILE", "write there instead of to stdout");
  app.add_flag("--json", options.json,
               "write a line of JSON for each event (open, message, ping, pong, close, error, "
               "attempt) instead of the payloads");
  app.add_flag("-P,--show-control", options.show_control, "report pings and pongs");
  app.add_flag("--timestamps", options.timestamps, "write the time (UTC) before each message");
  CLI::Option* verbose =
      app.add_flag("-v,--verbose", options.verbose, "report the handshake and each step on stderr");
  app.add_flag("-q,--quiet", options.quiet, "report nothing on stderr")->excludes(verbose);
  add_text(app, "-W,--write-out", options.write_out, "FORMAT",
           "text to write to stderr at the end, with " + write_out_variables());
}

// Each error names the flag that is wrong.
void named(const std::string& flag, const std::function<void()>& work) {
  try {
    work();
  } catch (const std::invalid_argument& wrong) {
    throw CLI::ValidationError(flag, wrong.what());
  }
}

// CLI11's own text would repeat the argument, which may be a URL with a password.
void refuse_extras(const std::vector<std::string>& arguments) {
  if (arguments.empty()) return;
  const std::string& first = arguments.front();
  if (!first.starts_with('-')) throw CLI::ValidationError("URL", "there is more than one");
  throw CLI::ValidationError(first.substr(0, first.find('=')), "there is no such flag");
}

tern::Proxy proxy_of(const Texts& texts) {
  tern::Proxy proxy = tern::Proxy::from_environment();
  if (texts.proxy) {
    if (texts.proxy->empty()) return {};
    auto parsed = tern::Proxy::parse(*texts.proxy);
    if (!parsed) throw CLI::ValidationError("--proxy", parsed.error().message());
    proxy = *std::move(parsed);
  }
  if (texts.no_proxy) proxy.bypass(*texts.no_proxy);
  if (const std::string& user = texts.proxy_user; !user.empty()) {
    const std::size_t colon = user.find(':');
    if (colon == user.npos) throw CLI::ValidationError("--proxy-user", "needs NAME:PASSWORD");
    proxy.credentials(user.substr(0, colon), user.substr(colon + 1));
  }
  if (!texts.proxy_ca.empty()) proxy.tls({.ca_file = texts.proxy_ca});
  return proxy;
}

void fill_dial(tern::DialOptions& dial, const Texts& texts) {
  if (texts.compress) dial.deflate = tern::Deflate{};
  if (texts.follow) dial.max_redirects = texts.max_redirects;
  if (texts.ipv4) dial.family = tern::AddressFamily::ipv4;
  if (texts.ipv6) dial.family = tern::AddressFamily::ipv6;
  if (dial.unix_socket.empty()) dial.proxy = proxy_of(texts);
  if (texts.connect_timeout) dial.timeout = *texts.connect_timeout;
  if (texts.pong_timeout) dial.timeouts.pong = *texts.pong_timeout;
  dial.limits.max_message_bytes = texts.max_message;
  // The queue has at most high_water_bytes and one message, because the run waits then.
  dial.limits.max_queued_bytes = 2 * texts.max_message + (std::size_t{4} << 20);
}

void fill(ConnectOptions& options, const Texts& texts) {
  named("URL", [&] { set_url(options, texts.url); });
  for (const std::string& header : texts.headers) {
    named("--header", [&] { add_header(options, header); });
  }
  if (!texts.origin.empty()) options.dial.headers.emplace_back("Origin", texts.origin);
  if (!texts.user.empty()) named("--user", [&] { set_user(options, texts.user); });
  if (!texts.close.empty()) named("--close", [&] { set_close(options, texts.close); });
  fill_dial(options.dial, texts);
  // The library judges a silent peer after a ping of its own, which should not come beside ours.
  if (options.ping) options.dial.timeouts.silence = 2 * *options.ping;

  if (texts.hex) options.encoding = Encoding::hex;
  if (texts.base64) options.encoding = Encoding::base64;
  if (texts.binary || texts.hex || texts.base64) options.type = tern::MessageType::binary;
  if (texts.null) options.separator = '\0';
  for (const std::string& message : texts.messages) {
    named("--send", [&] { options.first_messages.push_back(decode_message(options, message)); });
  }
  if (texts.one) options.count = 1;
  if (texts.wait) {
    options.at_eof = AtEof::wait;
    options.wait = *texts.wait;
  }
  if (texts.no_close) options.at_eof = AtEof::stay;
  if (texts.exit_on_eof) options.at_eof = AtEof::exit;
  named("--retry", [&] { set_retries(options, texts.retries); });
  named("--write-out", [&] { check_write_out(options.write_out); });
}

}  // namespace

ConnectOptions parse_connect(int argc, char** argv) {
  ConnectOptions options;
  Texts texts;
  options.dial.user_agent = "tern/" TERN_VERSION;
  CLI::App app(
      "Connects to a WebSocket server. Lines of stdin are sent as messages; received messages are "
      "written to stdout, and all else to stderr.",
      "tern connect");
  app.get_formatter()->column_width(36);
  app.set_help_flag("-h,--help", "print this text and exit");
  app.add_option("URL", texts.url, "ws://host:port/path, wss://…, ws+unix://path:/target")
      ->check(cli::not_empty())
      ->required()
      ->type_name("");
  add_request(app, options, texts);
  add_tls(app, options.dial.tls);
  add_way(app, options, texts);
  add_times(app, options, texts);
  add_messages(app, texts);
  add_end(app, options, texts);
  add_output(app, options);
  app.allow_extras();
  app.callback([&] {
    refuse_extras(app.remaining());
    fill(options, texts);
  });
  cli::parse(app, argc, argv);
  return options;
}

}  // namespace command
