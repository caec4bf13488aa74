// Publications of clients, over WebSockets and over HTTP.
#pragma once

#include "tern/http.h"
#include "tern/server.h"

#include "json.h"
#include "presence.h"

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>

namespace hub {

// Publishes to all, also to the sender if it is subscribed. It learns the offset in this way.
inline void publish(tern::Server& server, const std::string& topic, const Json& data) {
  if (is_own_topic(topic)) {
    throw BadMessage("not published: only the server publishes on this topic");
  }
  try {
    static_cast<void>(Json(topic).dump());
  } catch (const Json::exception&) {  // a path may have any bytes
    throw BadMessage("not published: the name of the topic is not UTF-8");
  }
  const tern::PublishStatus status = server.publish(topic, data.dump());
  if (!status) throw BadMessage("not published: " + std::string(publish_status_name(status)));
}

// Takes the same time wherever the texts differ, because a difference would help to guess a token.
inline bool is_equal(std::string_view a, std::string_view b) {
  unsigned difference = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  }
  return difference == 0;
}

// Whether the request comes from a page of this server, or from no page. Browsers send Origin with
// each POST. They send Sec-Fetch-Site only over https and to localhost.
inline bool is_own(const tern::Request& request) {
  const std::string_view origin = request.header("Origin");
  if (origin.empty()) return true;
  const std::size_t slashes = origin.find("//");
  return slashes != origin.npos && origin.substr(slashes + 2) == request.host();
}

// POST /topics/{topic}: the body is the data.
inline tern::Response publish_body(tern::Server& server, const std::string& token,
                                   const tern::Request& request) {
  if (!is_own(request)) return tern::Response::status(403, "not from a page of another site");
  if (!token.empty() && !is_equal(request.header("Authorization"), "Bearer " + token)) {
    return tern::Response::status(401).header("WWW-Authenticate", "Bearer");
  }
  try {
    const Json data = parsed(request.body());
    if (data.is_discarded()) throw BadMessage("the body must be JSON");
    publish(server, request.parameter("topic"), data);
    return tern::Response::status(204);
  } catch (const BadMessage& bad) {
    return tern::Response::status(400, bad.what());
  }
}

// GET /topics/{topic}/last: the data of the last message, and its position.
inline tern::Response last_of(const tern::Server& server, const tern::Request& request) {
  const auto last = server.retained(request.parameter("topic"));
  if (!last) return tern::Response::status(404, "no message of this topic is kept");
  const Json message = Json::parse(last->message().text());
  return tern::Response::json(message["data"].dump())
      .header("Topic-Epoch", message["epoch"].get<std::string>())
      .header("Topic-Offset", message["offset"].dump())
      .header("Cache-Control", "no-store");
}

}  // namespace hub
