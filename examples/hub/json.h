// The JSON texts of the hub: the messages of clients, and the frame of a publication.
#pragma once

#include "tern/connection.h"
#include "tern/topics.h"

#include <charconv>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

namespace hub {

using Json = nlohmann::json;

constexpr int most_nested = 64;  // levels of a JSON text

// A message that a client should not have sent. The text is for the client.
struct BadMessage : std::runtime_error {
  using runtime_error::runtime_error;
};

// Returns a discarded value if the text is no JSON.
inline Json parsed(std::string_view text) {
  const auto bounded = [](int depth, Json::parse_event_t, Json&) {
    if (depth > most_nested) throw BadMessage("the JSON is nested too deep");
    return true;
  };
  return Json::parse(text, bounded, /*allow_exceptions=*/false);
}

inline Json parsed(tern::Message msg) {
  Json json;
  if (msg.is_text()) json = parsed(msg.text());
  if (!json.is_object()) throw BadMessage("a message must be a JSON object, as text");
  return json;
}

inline std::string text_of(const Json& json, const char* name) {
  const auto value = json.find(name);
  if (value != json.end() && value->is_string()) return value->get<std::string>();
  throw BadMessage('"' + std::string(name) + "\" must be a string");
}

inline std::uint64_t count_of(const Json& json, const char* name) {
  const auto value = json.find(name);
  if (value != json.end() && value->is_number_unsigned()) return value->get<std::uint64_t>();
  throw BadMessage('"' + std::string(name) + "\" must be a whole number from 0 on");
}

// An epoch is text, because the numbers of JavaScript have 53 bits. A text that is no number cannot
// come from this server, so it is the epoch 0, which no topic has.
inline tern::Position position_of(const Json& json) {
  const std::string text = text_of(json, "epoch");
  tern::Position position{.offset = count_of(json, "offset")};
  std::from_chars(text.data(), text.data() + text.size(), position.epoch);
  return position;
}

inline tern::From from_of(const Json& json) {
  const auto from = json.find("from");
  if (from == json.end()) return tern::From::now;
  if (*from == "retained") return tern::From::retained;
  if (from->contains("last")) return tern::From::last(count_of(*from, "last"));
  if (from->contains("epoch")) return position_of(*from);
  throw BadMessage(R"("from" must be "retained", {"last":N} or {"epoch":E,"offset":N})");
}

inline tern::Delivery delivery_of(const Json& json) {
  const std::string delivery = json.value("delivery", Json("every")).dump();
  if (delivery == R"("every")") return tern::Delivery::every;
  if (delivery == R"("latest")") return tern::Delivery::latest;
  throw BadMessage(R"("delivery" must be "every" or "latest")");
}

// Makes the frame of a publication around the JSON text of its data.
inline std::string frame_around(const tern::Publication& publication, std::string_view data) {
  return R"({"op":"message","topic":)" + Json(publication.topic).dump() + R"(,"epoch":")" +
         std::to_string(publication.position.epoch) + R"(","offset":)" +
         std::to_string(publication.position.offset) + R"(,"data":)" + std::string(data) + '}';
}

// Makes it once for all subscribers, if the publication is of this hub.
inline std::string frame_of(const tern::Publication& publication) {
  return frame_around(publication, publication.message.text());
}

// The same if it may come from any program: a payload that is no JSON, or too deep, is a string.
inline std::string frame_of_any(const tern::Publication& publication) {
  const std::string_view text = publication.message.text();
  try {
    if (!parsed(text).is_discarded()) return frame_around(publication, text);
  } catch (const BadMessage&) {
  }
  return frame_around(publication, Json(text).dump(-1, ' ', false, Json::error_handler_t::replace));
}

}  // namespace hub
