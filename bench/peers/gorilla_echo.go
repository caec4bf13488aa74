// An echo server on gorilla/websocket, for the comparison with tern's. Each connection has a goroutine,
// and one thread at a time runs them. Each has one buffer from which it also writes, so that there is
// little garbage. WriteMessage does not copy the part of an uncompressed message that exceeds the write
// buffer, so the buffer is small. WriteMessage cuts a compressed message into frames of that buffer's
// size. TLS records have their full size from the first one on.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"runtime"

	"github.com/gorilla/websocket"
)

var (
	port        = flag.Int("port", 9001, "0: the system chooses")
	maxMessage  = flag.Int64("max-message", 1<<20, "bytes")
	level       = flag.Int("deflate-level", 0, "accept compression; 0: do not")
	readBuffer  = flag.Int("read-buffer", 64<<10, "bytes, of each connection")
	writeBuffer = flag.Int("write-buffer", 0, "the same; 0: 4 KiB, or 64 KiB with compression")
	certificate = flag.String("cert", "", "PEM file with a certificate; serves wss://")
	key         = flag.String("key", "", "PEM file with its key")
)

// Reads a whole message into buffer, or into a larger buffer if it does not fit.
func readInto(buffer []byte, from io.Reader) ([]byte, error) {
	size := 0
	for {
		if size == len(buffer) {
			larger := make([]byte, 2*len(buffer))
			copy(larger, buffer)
			buffer = larger
		}
		got, err := from.Read(buffer[size:])
		size += got
		if err == io.EOF {
			return buffer[:size], nil
		}
		if err != nil {
			return nil, err
		}
	}
}

func echo(conn *websocket.Conn) {
	defer conn.Close()
	conn.SetReadLimit(*maxMessage)
	if *level != 0 {
		conn.SetCompressionLevel(*level)
	}
	buffer := make([]byte, 4<<10)
	for {
		kind, reader, err := conn.NextReader()
		if err != nil {
			return
		}
		message, err := readInto(buffer[:cap(buffer)], reader)
		if err != nil || conn.WriteMessage(kind, message) != nil {
			return
		}
		buffer = message
	}
}

func main() {
	runtime.GOMAXPROCS(1)
	flag.Parse()
	if *writeBuffer == 0 {
		*writeBuffer = 4 << 10
		if *level != 0 {
			*writeBuffer = 64 << 10
		}
	}
	upgrader := websocket.Upgrader{
		ReadBufferSize:    *readBuffer,
		WriteBufferSize:   *writeBuffer,
		EnableCompression: *level != 0,
	}
	server := http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if conn, err := upgrader.Upgrade(w, r, nil); err == nil {
				echo(conn)
			}
		}),
		ErrorLog: log.New(io.Discard, "", 0),
		// No HTTP/2: its connections cannot become WebSocket's.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		TLSConfig:    &tls.Config{DynamicRecordSizingDisabled: true},
	}
	listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", *port)) // sets TCP_NODELAY
	if err != nil {
		log.Fatal("gorilla_echo: ", err)
	}
	scheme := "ws"
	if *certificate != "" {
		scheme = "wss"
	}
	fmt.Printf("listening on %s://%s/echo (gorilla/websocket, %s)\n", scheme, listener.Addr(),
		runtime.Version())
	if *certificate != "" {
		err = server.ServeTLS(listener, *certificate, *key)
	} else {
		err = server.Serve(listener)
	}
	log.Fatal("gorilla_echo: ", err)
}
