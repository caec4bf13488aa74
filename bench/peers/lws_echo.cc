// An echo server on libwebsockets, to compare with the echo server of tern: one thread, no log, no
// timeouts that could fire. The library allows one lws_write() for each writeable callback, so
// every reply of a pipeline takes a turn of its loop and a system call. The options set the event
// loop (poll was the fastest), the size of a read, and the size of a write. The library copies
// bytes that the kernel does not take, so a long message is sent in several frames. The server
// collects a message behind LWS_PRE free bytes. The library writes the header there, so the server
// copies a payload only once.
#include "options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <deque>
#include <libwebsockets.h>
#include <map>
#include <new>
#include <string>
#include <utility>
#include <vector>

namespace {

struct Options : peers::Options {
  std::size_t buffer = std::size_t{256} << 10;
  std::size_t frame = std::size_t{256} << 10;
  std::string loop = "poll";
};

// The callbacks have no other access to it.
Options options;  // NOLINT

struct Message {
  std::vector<unsigned char> bytes{};  // LWS_PRE bytes for the header, then the payload
  lws_write_protocol kind = LWS_WRITE_BINARY;
  std::size_t sent = 0;
};

struct Session {
  Message incoming{};
  std::deque<Message> outgoing{};
  // The deflate extension reads from this buffer until the next callback.
  std::vector<unsigned char> sent{};
};

// Free buffers of all connections. The last one is still in the cache.
std::vector<std::vector<unsigned char>> spare;  // NOLINT

void recycle(std::vector<unsigned char>& buffer) {
  if (buffer.capacity() > 0) spare.push_back(std::move(buffer));
}

void begin_session(lws* wsi, void* memory) {
  new (memory) Session();
  if (options.deflate_level == 0) return;
  const auto set = [wsi](const char* name, int value) {
    lws_set_extension_option(wsi, "permessage-deflate", name, std::to_string(value).c_str());
  };
  set("compression_level", options.deflate_level);
  set("mem_level", 8);     // the default of zlib and of tern
  set("rx_buf_size", 16);  // 2^16 bytes
  set("tx_buf_size", 16);
}

void end_session(Session& session) {
  recycle(session.incoming.bytes);
  recycle(session.sent);
  for (Message& message : session.outgoing) recycle(message.bytes);
  session.~Session();
}

// Returns 0, or -1 to end the connection.
int on_receive(lws* wsi, Session& session, const unsigned char* bytes, std::size_t size) {
  Message& message = session.incoming;
  if (lws_is_first_fragment(wsi) != 0) {
    if (!spare.empty()) {
      message.bytes = std::move(spare.back());
      spare.pop_back();
    }
    message.bytes.reserve(LWS_PRE + size + lws_remaining_packet_payload(wsi));
    message.bytes.resize(LWS_PRE);
    message.kind = lws_frame_is_binary(wsi) != 0 ? LWS_WRITE_BINARY : LWS_WRITE_TEXT;
  }
  message.bytes.insert(message.bytes.end(), bytes, bytes + size);
  if (message.bytes.size() - LWS_PRE > options.max_message) {
    lws_close_reason(wsi, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, nullptr, 0);
    return -1;
  }
  if (lws_is_final_fragment(wsi) == 0) return 0;
  session.outgoing.push_back(std::exchange(message, {}));
  lws_callback_on_writable(wsi);
  return 0;
}

int on_writeable(lws* wsi, Session& session) {
  if (session.outgoing.empty()) return 0;
  Message& message = session.outgoing.front();
  const std::size_t left = message.bytes.size() - LWS_PRE - message.sent;
  const std::size_t size = options.deflate_level != 0 ? left : std::min(left, options.frame);
  const int flags = lws_write_ws_flags(message.kind, message.sent == 0, size == left);
  const int written = lws_write(wsi, message.bytes.data() + LWS_PRE + message.sent, size,
                                static_cast<lws_write_protocol>(flags));
  if (written < static_cast<int>(size)) return -1;
  message.sent += size;
  if (size == left) {
    recycle(session.sent);
    session.sent = std::move(message.bytes);
    session.outgoing.pop_front();
  }
  if (!session.outgoing.empty()) lws_callback_on_writable(wsi);
  return 0;
}

int on_event(lws* wsi, lws_callback_reasons reason, void* user, void* in, std::size_t size) {
  switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
      begin_session(wsi, user);
      return 0;
    case LWS_CALLBACK_CLOSED:
      end_session(*static_cast<Session*>(user));
      return 0;
    case LWS_CALLBACK_RECEIVE:
      return on_receive(wsi, *static_cast<Session*>(user), static_cast<unsigned char*>(in), size);
    case LWS_CALLBACK_SERVER_WRITEABLE:
      return on_writeable(wsi, *static_cast<Session*>(user));
    default:
      return lws_callback_http_dummy(wsi, reason, user, in, size);
  }
}

const std::map<std::string, std::uint64_t> loops = {
    {"poll", 0}, {"ev", LWS_SERVER_OPTION_LIBEV}, {"uv", LWS_SERVER_OPTION_LIBUV}};

int run() {
  lws_set_log_level(LLL_ERR, nullptr);
  lws_protocols protocols[2] = {};
  protocols[0].name = "echo";
  protocols[0].callback = on_event;
  protocols[0].per_session_data_size = sizeof(Session);
  protocols[0].rx_buffer_size = options.buffer;
  protocols[0].tx_packet_size = options.frame + LWS_PRE;
  lws_extension extensions[2] = {};
  extensions[0].name = "permessage-deflate";
  extensions[0].callback = lws_extension_callback_pm_deflate;
  extensions[0].client_offer = "permessage-deflate";

  lws_context_creation_info info = {};
  info.port = options.port;
  info.iface = "127.0.0.1";
  info.protocols = protocols;
  if (options.deflate_level != 0) info.extensions = extensions;
  info.pt_serv_buf_size = static_cast<unsigned>(options.buffer);
  info.options = loops.at(options.loop);
  if (!options.certificate.empty()) {
    info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    info.ssl_cert_filepath = options.certificate.c_str();
    info.ssl_private_key_filepath = options.key.c_str();
    info.alpn = "http/1.1";
  }
  lws_context* const context = lws_create_context(&info);
  if (context == nullptr) {
    std::fputs("lws_echo: cannot listen\n", stderr);
    return 1;
  }
  const int port = lws_get_vhost_listen_port(lws_get_vhost_by_name(context, "default"));
  std::printf("listening on ws%s://127.0.0.1:%d/echo (libwebsockets %s, %s)\n",
              options.certificate.empty() ? "" : "s", port, lws_get_library_version(),
              options.loop.c_str());
  std::fflush(stdout);
  while (lws_service(context, 0) >= 0) {
  }
  lws_context_destroy(context);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("WebSocket echo on any path, on libwebsockets.", "lws_echo");
  peers::add_options(app, options);
  peers::add_deflate_level(app, options);
  app.add_option("--buffer", options.buffer, "bytes of one read");
  app.add_option("--frame", options.frame, "bytes of one write");
  app.add_option("--loop", options.loop, "event loop: poll, ev (libev) or uv (libuv)")
      ->check(CLI::IsMember({"poll", "ev", "uv"}));
  CLI11_PARSE(app, argc, argv);
  return run();
}
