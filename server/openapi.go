package server

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/munnerz/goautoneg"

	"github.com/gatehouse/gatehouse/internal/openapi"
)

// OpenAPI hands out the specification of what is served. The documents do not change while the server runs.
type OpenAPI interface {
	// V2 is the OpenAPI v2 document.
	V2() Spec
	// V3 holds the OpenAPI v3 documents by path without a leading slash, for example "apis/apps/v1".
	V3() map[string]Spec
}

// Spec is one document, each of its forms compressed with gzip. A form that is nil is answered with 406. Its Hash is the
// ETag and, for v3, part of the address.
type Spec = openapi.Document

// specAge is how long a client may keep a document whose address contains its hash.
const specAge = 365 * 24 * time.Hour

// Media types of the protobuf forms; clients write the version with a dot or an at sign.
const (
	typeSpec2 = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"
	typeSpec3 = "application/com.github.proto-openapi.spec.v3.v1.0+protobuf"
)

// specIndex is the document at /openapi/v3.
func specIndex(specs map[string]Spec) ([]byte, error) {
	type entry struct {
		ServerRelativeURL string `json:"serverRelativeURL"`
	}
	paths := make(map[string]entry, len(specs))
	for path, spec := range specs {
		paths[path] = entry{ServerRelativeURL: specAddress(path, spec)}
	}
	body, err := json.Marshal(map[string]any{"paths": paths})
	if err != nil {
		return nil, fmt.Errorf("server: encode the OpenAPI index: %w", err)
	}
	return body, nil
}

// specAddress is where a document of version 3 can be kept for ever.
func specAddress(path string, spec Spec) string { return "/openapi/v3/" + path + "?hash=" + spec.Hash }

// indexPage serves the index of version 3 as the text for which the reference takes it, whatever the client accepts.
func indexPage(index []byte, modified string) page {
	return func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Last-Modified", modified)
		write(w, typeText, http.StatusOK, index)
		return nil
	}
}

// serveSpec answers with one form of a document, compressed where the client takes that. Whoever asks for an older hash than that of
// address, which is empty for version 2, is sent there.
func serveSpec(w http.ResponseWriter, r *http.Request, spec Spec, protobufType, address, modified string) error {
	h := w.Header()
	h.Add("Vary", "Accept")
	h.Add("Vary", "Accept-Encoding")
	form, contentType := spec.JSON, typeJSON
	switch acceptSpec(r.Header.Get("Accept"), protobufType) {
	case protobufType:
		form, contentType = spec.Protobuf, protobufType
	case "":
		form = nil
	}
	if form == nil {
		w.WriteHeader(http.StatusNotAcceptable) // without a body, as the reference answers
		return nil
	}
	if spec.Hash != "" {
		h.Set("Etag", `"`+spec.Hash+`"`)
		switch asked := queryValue(r, "hash"); {
		case asked == "":
		case asked != spec.Hash && address != "":
			h.Set("Location", address)
			h.Set("Content-Type", contentType)
			w.WriteHeader(http.StatusMovedPermanently)
			return nil
		case asked == spec.Hash:
			h.Set("Cache-Control", "public, immutable")
			h.Set("Expires", time.Now().Add(specAge).UTC().Format(http.TimeFormat))
		}
		if etagMatches(r, h.Get("Etag")) {
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	h.Set("Last-Modified", modified)
	if acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		write(w, contentType, http.StatusOK, form)
		return nil
	}
	return sendUnpacked(w, contentType, form)
}

// sendUnpacked sends a compressed document to a client that wants it as it is.
func sendUnpacked(w http.ResponseWriter, contentType string, form []byte) error {
	zr, err := gzip.NewReader(bytes.NewReader(form))
	if err != nil {
		return fmt.Errorf("decompress an OpenAPI document: %w", err)
	}
	w.Header().Set("Content-Type", contentType)
	if _, err := io.Copy(w, zr); err != nil {
		return fmt.Errorf("send an OpenAPI document: %w", err)
	}
	return nil
}

// acceptSpec picks the JSON or the protobuf form for an Accept header; empty means neither is accepted.
func acceptSpec(accept, protobufType string) string {
	if accept == "" {
		return typeJSON
	}
	for _, a := range goautoneg.ParseAccept(accept) {
		switch mediaType := a.Type + "/" + a.SubType; {
		case mediaType == typeJSON || mediaType == "*/*" || mediaType == "application/*":
			return typeJSON
		case strings.Replace(mediaType, "@", ".", 1) == protobufType:
			return protobufType
		}
	}
	return ""
}

// acceptsGzip reports whether the client named gzip without refusing it.
func acceptsGzip(r *http.Request) bool {
	return slices.ContainsFunc(r.Header.Values("Accept-Encoding"), func(v string) bool {
		return slices.ContainsFunc(strings.Split(v, ","), func(coding string) bool {
			name, q, _ := strings.Cut(strings.TrimSpace(coding), ";")
			q = strings.ReplaceAll(q, " ", "")
			return strings.TrimSpace(name) == "gzip" && strings.Trim(q, "0.") != "q="
		})
	})
}

// etagMatches reports whether the client holds what the tag names.
func etagMatches(r *http.Request, etag string) bool {
	return slices.ContainsFunc(r.Header.Values("If-None-Match"), func(v string) bool {
		return slices.ContainsFunc(strings.Split(v, ","), func(tag string) bool {
			return strings.TrimPrefix(strings.TrimSpace(tag), "W/") == etag
		})
	})
}
