package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/munnerz/goautoneg"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/resource"
)

// Media types of answers.
const (
	mediaJSON     = "application/json"
	mediaYAML     = "application/yaml"
	mediaProtobuf = "application/vnd.kubernetes.protobuf"
)

// What an answer can be turned into on request.
const (
	asTable       = "Table"
	asPartial     = "PartialObjectMetadata"
	asPartialList = "PartialObjectMetadataList"
)

// maxAccept bounds the Accept header, in bytes.
const maxAccept = 4 << 10

// maxPretty bounds the answers that are indented for people; longer ones are sent as they are.
const maxPretty = 8 << 20

// format is the outcome of content negotiation.
type format struct {
	media   string
	as      string // empty for the resource's own kind
	include resource.IncludeObject
	pretty  bool
}

// negotiate picks the first acceptable media type in the order of preference of the Accept header. A type with
// parameters that this server does not have is passed over.
func negotiate(r *http.Request, watch bool) (format, error) {
	accept := r.Header.Get("Accept")
	if len(accept) > maxAccept {
		return format{}, api.BadRequest("the Accept header is %d bytes long, the limit is %d", len(accept), maxAccept)
	}
	f := format{media: mediaJSON, include: resource.IncludeMetadata, pretty: wantsPretty(r)}
	if accept == "" {
		return f, nil
	}
	for _, clause := range goautoneg.ParseAccept(accept) {
		media, ok := mediaOf(clause, watch)
		if !ok || !f.transform(clause, media) {
			continue
		}
		f.media = media
		return f, f.includeFrom(r)
	}
	return format{}, notAcceptable(watch)
}

func mediaOf(clause goautoneg.Accept, watch bool) (string, bool) {
	switch media := clause.Type + "/" + clause.SubType; media {
	case "*/*", "application/*":
		return mediaJSON, true
	case mediaYAML:
		return media, !watch
	case mediaJSON, mediaProtobuf:
		return media, true
	}
	return "", false
}

// transform reads the parameters as, g and v. Tables exist in JSON and YAML only.
func (f *format) transform(clause goautoneg.Accept, media string) bool {
	as := clause.Params["as"]
	known := clause.Params["g"] == "meta.k8s.io" && clause.Params["v"] == "v1"
	switch as {
	case "":
		f.as = ""
		return true
	case asTable:
		f.as = as
		return known && media != mediaProtobuf
	case asPartial, asPartialList:
		f.as = as
		return known && media != mediaProtobuf
	}
	return false
}

func (f *format) includeFrom(r *http.Request) error {
	if f.as != asTable {
		return nil
	}
	switch include := resource.IncludeObject(r.URL.Query().Get("includeObject")); include {
	case "":
	case resource.IncludeNone, resource.IncludeMetadata, resource.IncludeWhole:
		f.include = include
	default:
		return api.BadRequest("unrecognized includeObject value: %q", include)
	}
	return nil
}

func notAcceptable(watch bool) error {
	types := "application/json, application/yaml, application/vnd.kubernetes.protobuf"
	if watch {
		types = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
	}
	return api.NotAcceptable("only the following media types are accepted: %s", types)
}

// send writes a complete answer, given as JSON or protobuf.
func (c *call) send(code int, b []byte) error {
	switch {
	case c.format.media == mediaYAML:
		y, err := yaml.JSONToYAML(b)
		if err != nil {
			return fmt.Errorf("encode YAML: %w", err)
		}
		b = y
	case c.format.media == mediaJSON && c.format.pretty && len(b) <= maxPretty:
		var indented bytes.Buffer
		if err := json.Indent(&indented, b, "", "  "); err != nil {
			return fmt.Errorf("indent: %w", err)
		}
		b = indented.Bytes()
	case c.format.media == mediaJSON:
		b = append(b, '\n')
	}
	h := c.w.Header()
	h.Set("Content-Type", c.format.media)
	h.Set("Content-Length", strconv.Itoa(len(b)))
	c.w.WriteHeader(code)
	_, err := c.w.Write(b)
	return err
}

// sendList streams a list. YAML and indented lists are gathered first.
func (c *call) sendList(l *resource.List) error {
	chunks := resource.Chunks{W: c.w, Buf: c.buffer()}
	defer func() { c.recycle(chunks.Buf) }()
	var gathered *bytes.Buffer
	if c.format.media == mediaYAML || (c.format.pretty && l.Bytes <= maxPretty) {
		gathered = &bytes.Buffer{}
		chunks.W = gathered
	} else {
		c.w.Header().Set("Content-Type", c.format.media)
	}
	if err := c.writeList(l, &chunks); err != nil || gathered == nil {
		return err
	}
	return c.send(http.StatusOK, bytes.TrimSuffix(gathered.Bytes(), []byte("\n")))
}

func (c *call) writeList(l *resource.List, chunks *resource.Chunks) error {
	switch {
	case c.format.as == asTable:
		return c.service.WriteTable(l, chunks, c.format.include, c.now())
	case c.format.as == asPartialList:
		return l.WritePartial(chunks)
	case c.format.as != "":
		return notAcceptable(false)
	case c.format.media == mediaProtobuf:
		return l.WriteProtobuf(chunks)
	}
	return l.WriteJSON(chunks)
}

// buffer takes an empty buffer from the pool; recycle gives it back, unless it has grown out of proportion.
func (s *REST) buffer() []byte {
	if b, ok := s.buffers.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return make([]byte, 0, 320<<10)
}

func (s *REST) recycle(b []byte) {
	if cap(b) <= 1<<20 {
		s.buffers.Put(&b)
	}
}
