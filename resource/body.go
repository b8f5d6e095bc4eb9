package resource

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"
	goyaml "sigs.k8s.io/yaml/goyaml.v2"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/internal/quantity"
)

// Bounds of a request body.
const (
	// MaxBodyBytes bounds every body; more is 413.
	MaxBodyBytes = 3 << 20
	// MaxDepth bounds the nesting of JSON and YAML.
	MaxDepth = 1000
	// MaxElements bounds the list elements and objects in a body of JSON or YAML together. A few bytes of each become a
	// Go struct of up to a kilobyte.
	MaxElements = 100_000
)

// Media types of bodies.
const (
	mediaJSON     = "application/json"
	mediaYAML     = "application/yaml"
	mediaProtobuf = "application/vnd.kubernetes.protobuf"
)

// Body is a request body as received, already within MaxBodyBytes.
type Body struct {
	// ContentType is the header's value; empty means JSON.
	ContentType string
	Data        []byte
}

// Validation says what to do about fields that the type does not have and fields given twice.
type Validation string

// The values of the fieldValidation parameter. The default is Warn.
const (
	ValidationIgnore Validation = "Ignore"
	ValidationWarn   Validation = "Warn"
	ValidationStrict Validation = "Strict"
)

// decodeInto reads a body of the expected kind into the object. Unknown and duplicate fields are treated as v says. A body
// without kind and apiVersion is taken to be of the expected kind. shape is that of the object's type, or nil to find it out.
func decodeInto(o runtime.Object, want schema.GroupVersionKind, shape *shape, body Body, v Validation, w *api.Warnings) error {
	media, err := mediaType(body.ContentType, mediaJSON, mediaYAML, mediaProtobuf)
	if err != nil {
		return err
	}
	if media == mediaProtobuf {
		return decodeProtobuf(o, want, shape, body.Data)
	}
	data, strict, err := toJSON(media, body.Data, want.Kind)
	if err != nil {
		return err
	}
	if err := checkKind(data, want); err != nil {
		return err
	}
	var more []error
	if err = quantity.CheckJSON(data, reflect.TypeOf(o)); err == nil {
		more, err = utiljson.UnmarshalStrict(data, o)
	}
	if err != nil {
		return api.BadRequest("%s in version %q cannot be handled as a %s: %v", want.Kind, want.Version, want.Kind, err)
	}
	o.GetObjectKind().SetGroupVersionKind(want)
	return strictness(append(strict, more...), want, v, w)
}

// toJSON brings a body to JSON and checks its nesting. The returned errors are of the strict kind.
func toJSON(media string, data []byte, kind string) ([]byte, []error, error) {
	unrecognized := func(err error) error {
		return api.BadRequest("the object provided is unrecognized (must be of type %s): couldn't get version/kind; json parse error: %v", kind, err)
	}
	var strict []error
	if media == mediaYAML {
		var err error
		if data, strict, err = fromYAML(data); err != nil {
			return nil, nil, api.BadRequest("the object provided is unrecognized (must be of type %s): %v", kind, err)
		}
	}
	if !utf8.Valid(data) {
		return nil, nil, unrecognized(errors.New("the body is not valid UTF-8"))
	}
	if err := measure(data).check(); err != nil {
		return nil, nil, unrecognized(err)
	}
	return data, strict, nil
}

// checkKind refuses a body of another kind, group or version than what it is read as.
func checkKind(data []byte, want schema.GroupVersionKind) error {
	var head struct {
		APIVersion string `json:"apiVersion,omitempty"`
		Kind       string `json:"kind,omitempty"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return api.BadRequest("the object provided is unrecognized (must be of type %s): couldn't get version/kind; json parse error: %v", want.Kind, err)
	}
	return checkTyped(head.APIVersion, head.Kind, want)
}

func checkTyped(apiVersion, kind string, want schema.GroupVersionKind) error {
	gv, err := schema.ParseGroupVersion(apiVersion)
	switch {
	case err != nil:
		return api.BadRequest("the object provided is unrecognized (must be of type %s): %v", want.Kind, err)
	case kind != "" && kind != want.Kind, apiVersion != "" && gv.Group != want.Group && want.Kind != "Scale": // which other groups had once
		return api.BadRequest("%s in version %q cannot be handled as a %s: the body must be of apiVersion %q and kind %q",
			kind, gv.Version, want.Kind, want.GroupVersion(), want.Kind)
	case apiVersion != "" && gv != want.GroupVersion():
		return api.BadRequest("the API version in the data (%s) does not match the expected API version (%s)", gv, want.GroupVersion())
	}
	return nil
}

func strictness(errs []error, want schema.GroupVersionKind, v Validation, w *api.Warnings) error {
	switch {
	case len(errs) == 0 || v == ValidationIgnore:
		return nil
	case v == ValidationStrict:
		return api.BadRequest("%s in version %q cannot be handled as a %s: strict decoding error: %s", want.Kind, want.Version, want.Kind, joinErrors(errs))
	}
	for _, e := range errs {
		warnStrict(w, e)
	}
	return nil
}

func joinErrors(errs []error) string {
	texts := make([]string, len(errs))
	for i, e := range errs {
		texts[i] = e.Error()
	}
	return strings.Join(texts, ", ")
}

// warnStrict warns of each of the faults in an error of strict decoding: the YAML library has them on lines below a heading.
func warnStrict(w *api.Warnings, err error) {
	for line := range strings.Lines(strings.TrimPrefix(err.Error(), "yaml: unmarshal errors:\n")) {
		w.Add(strings.TrimSpace(line))
	}
}

// mediaType reads a Content-Type header and checks that it is one of those accepted; the first is the default.
func mediaType(header string, accepted ...string) (string, error) {
	if header == "" {
		return accepted[0], nil
	}
	media, _, err := mime.ParseMediaType(header)
	if err == nil && slices.Contains(accepted, media) {
		return media, nil
	}
	return "", api.UnsupportedMediaType("the body of the request was in an unknown format - accepted media types include: %s", strings.Join(accepted, ", "))
}

// size is what a JSON document amounts to.
type size struct{ depth, elements int }

// measure finds the deepest nesting of a document and counts its objects and list elements, with a few counted twice. It does not check
// the syntax; below a depth of MaxDepth it stops.
func measure(data []byte) size {
	var s size
	var lists [MaxDepth + 1]bool // whether the open bracket at a depth is one of a list
	depth, inString := 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return size{depth, s.elements}
			}
			lists[depth] = c == '['
			s.elements++
			s.depth = max(s.depth, depth)
		case c == '}' || c == ']':
			depth = max(depth-1, 0)
		case c == ',' && lists[depth]:
			s.elements++
		}
	}
	return s
}

func (s size) check() error {
	switch {
	case s.depth > MaxDepth:
		return fmt.Errorf("exceeded max depth of %d", MaxDepth)
	case s.elements > MaxElements:
		return fmt.Errorf("has more than %d objects and list elements", MaxElements)
	}
	return nil
}

// fromYAML converts a document to JSON. The decoder bounds nesting and what aliases of collections expand to; what aliases of long
// strings do is bounded here. The first of the returned errors are of the strict kind.
//
// The decoder makes some 600 bytes of each node and cannot be told to stop, so the nodes that a document can have at most are
// counted before it is parsed, and the Service lets few documents be parsed at a time: the memory behind YAML is bounded however many
// clients send it.
func fromYAML(data []byte) ([]byte, []error, error) {
	if n := maxNodes(data); n > MaxElements {
		return nil, nil, fmt.Errorf("it may have %d values, the limit for YAML is %d: send it as JSON", n, MaxElements)
	}
	if bytes.IndexByte(data, '*') >= 0 && bytes.IndexByte(data, '&') >= 0 {
		var v any
		if err := goyaml.Unmarshal(data, &v); err != nil {
			return nil, nil, err
		}
		if left := spend(v, MaxBodyBytes); left < 0 {
			return nil, nil, fmt.Errorf("its aliases expand to more than %d bytes", MaxBodyBytes)
		}
	}
	converted, strict := yaml.YAMLToJSONStrict(data)
	if strict == nil {
		return converted, nil, nil
	}
	converted, err := yaml.YAMLToJSON(data)
	if err != nil {
		return nil, nil, err
	}
	return converted, []error{strict}, nil
}

// maxNodes is the most nodes that YAML of these bytes can have: each stands behind one of these characters, behind one of the three
// line breaks that only YAML knows, or at the beginning.
func maxNodes(data []byte) int {
	n := 1
	for i, c := range data {
		switch c {
		case '\n', '\r', ',', '[', '{', ':', '?', '-':
			n++
		case 0xc2, 0xe2:
			rest := data[i:]
			if bytes.HasPrefix(rest, []byte("\u0085")) || bytes.HasPrefix(rest, []byte("\u2028")) || bytes.HasPrefix(rest, []byte("\u2029")) {
				n++
			}
		}
	}
	return n
}

// spend takes the length of everything in v off a budget and stops when it is used up.
func spend(v any, left int) int {
	left--
	switch v := v.(type) {
	case string:
		left -= len(v)
	case []any:
		for _, x := range v {
			if left = spend(x, left); left < 0 {
				return left
			}
		}
	case map[any]any:
		for key, x := range v {
			if left = spend(x, spend(key, left)); left < 0 {
				return left
			}
		}
	}
	return left
}

// maxYAMLOptions bounds DeleteOptions in YAML, in bytes; they have a handful of fields.
const maxYAMLOptions = 16 << 10

// decode is decodeInto for a request's body. YAML waits for one of the few places where it may be parsed.
func (s *Service) decode(ctx context.Context, o runtime.Object, want schema.GroupVersionKind, shape *shape, body Body, w Write) error {
	if media, _, err := mime.ParseMediaType(body.ContentType); err == nil && media == mediaYAML {
		select {
		case s.yaml <- struct{}{}:
			defer func() { <-s.yaml }()
		case <-ctx.Done():
			return api.ToError(ctx.Err())
		}
	}
	return decodeInto(o, want, shape, body, w.Options.Validation, w.Warnings)
}

// decodeDeleteOptions reads the body of a DELETE, which may be empty.
func decodeDeleteOptions(body Body, into *metav1.DeleteOptions) error {
	if len(bytes.TrimSpace(body.Data)) == 0 {
		return nil
	}
	media, err := mediaType(body.ContentType, mediaJSON, mediaYAML, mediaProtobuf)
	if err != nil {
		return err
	}
	want := schema.GroupVersionKind{Version: "v1", Kind: "DeleteOptions"}
	if media == mediaProtobuf {
		// Every group serves DeleteOptions under its own version too, and clients send them so.
		if gv := envelopeVersion(body.Data); !gv.Empty() {
			want = gv.WithKind(want.Kind)
		}
		return decodeProtobuf(into, want, nil, body.Data)
	}
	if media == mediaYAML && len(body.Data) > maxYAMLOptions {
		return api.TooLarge("delete options in YAML may have %d bytes", maxYAMLOptions)
	}
	data, _, err := toJSON(media, body.Data, want.Kind)
	if err != nil {
		return err
	}
	var head struct {
		APIVersion string `json:"apiVersion,omitempty"`
		Kind       string `json:"kind,omitempty"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return api.BadRequest("couldn't get version/kind; json parse error: %v", err)
	}
	if head.Kind != "" && head.Kind != want.Kind {
		return api.BadRequest("the body of a delete must be a DeleteOptions, not a %s", head.Kind)
	}
	if err := utiljson.UnmarshalCaseSensitivePreserveInts(data, into); err != nil {
		return api.BadRequest("%v", err)
	}
	return nil
}
