package resource

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"slices"
	"strings"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utiljson "sigs.k8s.io/json"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/api"
)

// Bounds of a request body.
const (
	// MaxBodyBytes bounds every body; more is 413.
	MaxBodyBytes = 3 << 20
	// MaxDepth bounds the nesting of JSON and YAML.
	MaxDepth = 1000
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
// without kind and apiVersion is taken to be of the expected kind.
func decodeInto(o runtime.Object, want schema.GroupVersionKind, body Body, v Validation, w *api.Warnings) error {
	media, err := mediaType(body.ContentType, mediaJSON, mediaYAML, mediaProtobuf)
	if err != nil {
		return err
	}
	if media == mediaProtobuf {
		return decodeProtobuf(o, want, body.Data)
	}
	data, strict, err := toJSON(media, body.Data, want.Kind)
	if err != nil {
		return err
	}
	if err := checkKind(data, want); err != nil {
		return err
	}
	more, err := utiljson.UnmarshalStrict(data, o)
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
		if err := yamlDepth(data); err != nil {
			return nil, nil, unrecognized(err)
		}
		converted, err := yaml.YAMLToJSON(data)
		if err != nil {
			return nil, nil, unrecognized(err)
		}
		if _, err := yaml.YAMLToJSONStrict(data); err != nil {
			strict = append(strict, err)
		}
		data = converted
	}
	if !utf8.Valid(data) {
		return nil, nil, unrecognized(errors.New("the body is not valid UTF-8"))
	}
	if depth := jsonDepth(data); depth > MaxDepth {
		return nil, nil, unrecognized(fmt.Errorf("exceeded max depth of %d", MaxDepth))
	}
	return data, strict, nil
}

func checkKind(data []byte, want schema.GroupVersionKind) error {
	var head struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return api.BadRequest("the object provided is unrecognized (must be of type %s): couldn't get version/kind; json parse error: %v", want.Kind, err)
	}
	if (head.Kind != "" && head.Kind != want.Kind) || (head.APIVersion != "" && head.APIVersion != want.GroupVersion().String()) {
		gv, _ := schema.ParseGroupVersion(head.APIVersion)
		return api.BadRequest("%s in version %q cannot be handled as a %s: the body must be of apiVersion %q and kind %q",
			head.Kind, gv.Version, want.Kind, want.GroupVersion(), want.Kind)
	}
	return nil
}

func strictness(errs []error, want schema.GroupVersionKind, v Validation, w *api.Warnings) error {
	switch {
	case len(errs) == 0 || v == ValidationIgnore:
		return nil
	case v == ValidationStrict:
		texts := make([]string, len(errs))
		for i, e := range errs {
			texts[i] = e.Error()
		}
		return api.BadRequest("%s in version %q cannot be handled as a %s: strict decoding error: %s", want.Kind, want.Version, want.Kind, strings.Join(texts, ", "))
	}
	for _, e := range errs {
		w.Add(e.Error())
	}
	return nil
}

func decodeProtobuf(o runtime.Object, want schema.GroupVersionKind, data []byte) error {
	bad := func(err error) error {
		return api.BadRequest("%s in version %q cannot be handled as a %s: %v", want.Kind, want.Version, want.Kind, err)
	}
	m, ok := o.(interface{ Unmarshal([]byte) error })
	if !ok {
		return api.UnsupportedMediaType("%s has no protobuf form", want.Kind)
	}
	if !bytes.HasPrefix(data, protobufMagic) {
		return bad(errors.New("the body does not begin with the protobuf storage prefix"))
	}
	var envelope runtime.Unknown
	if err := envelope.Unmarshal(data[len(protobufMagic):]); err != nil {
		return bad(err)
	}
	if (envelope.Kind != "" && envelope.Kind != want.Kind) || (envelope.APIVersion != "" && envelope.APIVersion != want.GroupVersion().String()) {
		return bad(fmt.Errorf("the body is %s %s", envelope.APIVersion, envelope.Kind))
	}
	if err := m.Unmarshal(envelope.Raw); err != nil {
		return bad(err)
	}
	o.GetObjectKind().SetGroupVersionKind(want)
	return nil
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

// jsonDepth is the deepest nesting of braces and brackets outside strings. It does not check the syntax.
func jsonDepth(data []byte) int {
	depth, deepest, inString := 0, 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
			deepest = max(deepest, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return deepest
}

// yamlDepth refuses YAML that nests too deeply before it is parsed: flow collections by their brackets (those inside
// scalars count too, which only matters beyond the bound), block collections by indentation, of which a level needs at
// least one column.
func yamlDepth(data []byte) error {
	if bytes.Count(data, []byte("[")) > MaxDepth || bytes.Count(data, []byte("{")) > MaxDepth {
		if d := jsonDepth(data); d > MaxDepth {
			return fmt.Errorf("exceeded max depth of %d", MaxDepth)
		}
	}
	for line := range bytes.Lines(data) {
		indent := len(line) - len(bytes.TrimLeft(line, " -?:"))
		if indent > 2*MaxDepth {
			return fmt.Errorf("exceeded max depth of %d", MaxDepth)
		}
	}
	return nil
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
		return decodeProtobuf(into, want, body.Data)
	}
	data, _, err := toJSON(media, body.Data, want.Kind)
	if err != nil {
		return err
	}
	var head metav1.TypeMeta
	if err := json.Unmarshal(data, &head); err != nil {
		return api.BadRequest("delete options: %v", err)
	}
	// Every group serves DeleteOptions under its own version too.
	if head.Kind != "" && head.Kind != want.Kind {
		return api.BadRequest("the body of a delete must be a DeleteOptions, not a %s", head.Kind)
	}
	if err := utiljson.UnmarshalCaseSensitivePreserveInts(data, into); err != nil {
		return api.BadRequest("delete options: %v", err)
	}
	return nil
}
