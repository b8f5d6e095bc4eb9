package diff

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"sigs.k8s.io/yaml"
)

// Answer is what a server said.
type Answer struct {
	Status int
	// Header holds the headers that mean something to a client, each with all its values in one text.
	Header map[string]string
	// Object is the decoded body as it came; text where it is no document. A watch is a list of its events.
	Object any
	// Pretty is true when a JSON body is indented.
	Pretty bool
	// Err is set when there was no whole answer.
	Err string
}

// comparedHeaders are the ones that mean something to a client.
func comparedHeaders() []string {
	return []string{
		"Content-Type", "Content-Encoding", "Warning", "Retry-After", "Allow", "Www-Authenticate", "Cache-Control", "Location", "Vary",
		"Accept-Patch", "Deprecation",
	}
}

// presentHeaders are compared for being there, because their values differ between any two servers.
func presentHeaders() []string { return []string{"Etag", "Last-Modified", "Expires"} }

func newAnswer(status int, header http.Header, body []byte) Answer {
	a := Answer{Status: status, Header: map[string]string{}}
	for _, name := range comparedHeaders() {
		if values := header.Values(name); len(values) > 0 {
			a.Header[name] = strings.Join(values, " | ")
		}
	}
	for _, name := range presentHeaders() {
		if header.Get(name) != "" {
			a.Header[name] = "<present>"
		}
	}
	if header.Get("Content-Encoding") == "gzip" {
		body = gunzip(body)
	}
	media, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		media = "text/plain"
	}
	a.Object = decodeBody(media, body)
	// Refusals are indented here and there, which nobody relies on.
	a.Pretty = status < http.StatusBadRequest && media == "application/json" && bytes.HasPrefix(body, []byte("{\n  \""))
	return a
}

func gunzip(body []byte) []byte {
	reader, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		return []byte("not gzip: " + err.Error())
	}
	plain, err := io.ReadAll(io.LimitReader(reader, maxAnswer))
	if err != nil {
		return []byte("not gzip: " + err.Error())
	}
	return plain
}

// decodeBody decodes a document of the media type, and returns the text of anything else.
func decodeBody(media string, body []byte) any {
	switch {
	case strings.HasPrefix(media, "application/vnd.kubernetes.protobuf"):
		return decodeProtobuf(body)
	case media == "application/yaml":
		data, err := yaml.YAMLToJSON(body)
		if err != nil {
			return "not YAML: " + string(body)
		}
		return decodeJSON(data)
	case media == "application/json", bytes.HasPrefix(body, []byte("{")):
		return decodeJSON(body) // some documents come as plain text
	}
	return string(body)
}

// decodeJSON decodes one document, or all of a watch.
func decodeJSON(body []byte) any {
	var objects []any
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	for {
		var value any
		err := decoder.Decode(&value)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Sprintf("not JSON: %s", body)
		}
		if !isBookmark(value) {
			objects = append(objects, value)
		}
	}
	if len(objects) == 1 {
		return objects[0]
	}
	return objects
}

// isBookmark is true for the events that a server may put into a watch whenever it likes; the one that ends the initial
// list is not of that kind.
func isBookmark(value any) bool {
	event, ok := value.(map[string]any)
	if !ok || event["type"] != "BOOKMARK" {
		return false
	}
	object, _ := event["object"].(map[string]any)
	meta, _ := object["metadata"].(map[string]any)
	annotations, _ := meta["annotations"].(map[string]any)
	return annotations["k8s.io/initial-events-end"] == nil
}
