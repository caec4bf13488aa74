// Messages: Message (a view), SharedMessage (encoded once, sent to many connections).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <type_traits>

namespace tern {

/// The two types of data messages. The values are the opcodes (RFC 6455 §5.6).
enum class MessageType : std::uint8_t { text = 1, binary = 2 };

/// A view of one whole message. It has 16 bytes and is trivially copyable. Characters make a text
/// message, bytes make a binary message. Lifetime: that of the payload; in on_message until the
/// handler returns.
class Message {
 public:
  /// An empty text message.
  constexpr Message() noexcept : Message(std::string_view()) {}

  /// A text message from a type that converts to string_view. send() refuses text that is not UTF-8
  /// (RFC 6455 §5.6).
  template <class T>
  requires std::is_convertible_v<const T&, std::string_view>
  constexpr Message(const T& text) noexcept : Message(MessageType::text, std::string_view(text)) {}

  /// A binary message from a type that converts to a span of bytes.
  template <class T>
  requires(
      std::is_convertible_v<const T&, std::span<const std::byte>> &&
      !std::is_convertible_v<const T&, std::string_view>) constexpr Message(const T& bytes) noexcept
      : Message(MessageType::binary, std::span<const std::byte>(bytes)) {}

  /// A message of the given type.
  constexpr Message(MessageType type, std::span<const std::byte> bytes) noexcept
      : data_(bytes.data()), word_(pack(type, bytes.size())) {}

  /// A message of the given type, for a payload that is stored as characters.
  constexpr Message(MessageType type, std::string_view chars) noexcept
      : data_(chars.data()), word_(pack(type, chars.size())) {}

  /// The type: text or binary.
  constexpr MessageType type() const noexcept {
    return static_cast<MessageType>(word_ >> type_shift);
  }
  constexpr bool is_text() const noexcept { return type() == MessageType::text; }
  constexpr std::size_t size() const noexcept { return word_ & max_size; }
  constexpr bool empty() const noexcept { return size() == 0; }
  /// The payload as bytes, for both types.
  std::span<const std::byte> bytes() const noexcept {
    return {static_cast<const std::byte*>(data_), size()};
  }
  /// The payload as characters, for both types. The payload of a received text message is valid
  /// UTF-8.
  std::string_view text() const noexcept { return {static_cast<const char*>(data_), size()}; }

 private:
  static constexpr int type_shift = 56;
  // No memory holds so many bytes.
  static constexpr std::uint64_t max_size = (std::uint64_t{1} << type_shift) - 1;
  static constexpr std::uint64_t pack(MessageType type, std::size_t size) noexcept {
    return static_cast<std::uint64_t>(type) << type_shift | (size & max_size);
  }

  const void* data_;
  // Type and size in one word, because compilers unpack bit-fields whenever a message is passed on.
  std::uint64_t word_;
};

static_assert(sizeof(Message) == 16 && std::is_trivially_copyable_v<Message>);

/// The result of send(). It is true if the message will be sent, unless the connection ends before.
class SendStatus {
 public:
  /// The possible results.
  enum Value : std::uint8_t {
    queued,     ///< accepted
    congested,  ///< accepted; the queue is above limits.high_water_bytes: wait for on_drain
    full,       ///< not accepted: over limits.max_queued_bytes, with Overflow::reject
    closed,     ///< not accepted: the connection closes or has ended
    not_utf8,   ///< not accepted: the text is not UTF-8 (RFC 6455 §5.6); the connection stays open
  };

  constexpr SendStatus(Value value) noexcept : value_(value) {}
  constexpr explicit operator bool() const noexcept { return value_ <= congested; }
  /// The result, for `switch`.
  constexpr Value value() const noexcept { return value_; }
  constexpr bool operator==(const SendStatus&) const noexcept = default;

 private:
  Value value_;
};

/// Options for one message.
struct SendOptions {
  /// false: the message is not compressed, even if compression was agreed on. Use it for data that
  /// is compressed already, and for secrets beside text that others choose (RFC 7692 §8, the CRIME
  /// attack).
  bool compress = true;
  /// false: tern does not check that the text is UTF-8. By default a text that is not UTF-8 is
  /// refused, because the peer would fail the connection with 1007 (RFC 6455 §8.1). The check costs
  /// 0.02 to 0.06 ns for each byte. An echo of the message just received is never checked again.
  bool check_text = true;
};

namespace engine {
class EncodedMessage;
}

/// A message that is encoded once, for many connections. Copies share one immutable frame. They
/// also share a compressed frame, which is made when the first connection without context takeover
/// needs it. A connection with context takeover of our messages compresses the message for itself.
/// Thread: any; the reference count is atomic.
class SharedMessage {
 public:
  /// Copies and encodes the message. Text is checked here, once: if it is not UTF-8, each send()
  /// refuses it, unless SendOptions::check_text is false. Throws std::bad_alloc. RFC 6455 §5.2.
  explicit SharedMessage(Message message);
  SharedMessage(const SharedMessage& other) noexcept;
  SharedMessage(SharedMessage&& other) noexcept;
  SharedMessage& operator=(SharedMessage other) noexcept;
  ~SharedMessage();

  /// The message. Lifetime of the view: any copy of this SharedMessage.
  Message message() const noexcept;
  /// For the engine: the frame; null only if moved from.
  const engine::EncodedMessage* encoded() const noexcept { return encoded_; }

 private:
  const engine::EncodedMessage* encoded_;
};

}  // namespace tern
