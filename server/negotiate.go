package server

import (
	"net/http"
	"slices"
	"strings"

	"github.com/munnerz/goautoneg"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/resource"
)

// Content negotiation has two steps, as in the reference, and each refuses in words of its own. A route names the types that it
// produces, and parameters do not count; then the handler goes through the clauses of the Accept header, best first, and takes the first of
// which it can serve the type with all its parameters.

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
const maxAccept = 16 << 10

// format is the outcome of content negotiation.
type format struct {
	media  string
	as     string             // empty for the resource's own kind
	table  resource.TableForm // its version is that of metadata alone, too
	pretty bool
}

// negotiate finds the form of an answer with API objects. many tells a route that lists or watches from one for single objects.
func negotiate(r *http.Request, many, watch bool) (format, error) {
	accept := r.Header.Get("Accept")
	f := format{media: mediaJSON, pretty: wantsPretty(r)}
	f.table = resource.TableForm{Version: resource.MetaV1, Include: resource.IncludeMetadata}
	if accept == "" {
		return f, nil
	}
	if err := produced(accept, many, mediaJSON, mediaYAML, mediaProtobuf); err != nil {
		return f, err
	}
	media, params, ok := choose(accept, f.transform)
	if !ok || (watch && media == mediaYAML) {
		return f, notAcceptable(ok)
	}
	f.media, f.as = media, params["as"]
	if f.as != "" {
		f.table.Version = resource.MetaVersion(params["v"])
	}
	f.pretty = f.pretty || params["pretty"] == "1"
	return f, f.includeFrom(r)
}

// produced checks that the Accept header names one of the types of a route, or all types. Its parameters are not looked at.
func produced(accept string, many bool, types ...string) error {
	if len(accept) > maxAccept {
		return api.BadRequest("the Accept header is %d bytes long, the limit is %d", len(accept), maxAccept)
	}
	for clause := range strings.SplitSeq(accept, ",") {
		media, _, _ := strings.Cut(clause, ";")
		if media = strings.Trim(media, " "); media == "*/*" || slices.Contains(types, media) {
			return nil
		}
	}
	if many {
		types = append(types, mediaJSON+";stream=watch", mediaProtobuf+";stream=watch")
	}
	e := api.NotAcceptable("406: Not Acceptable\n\nAvailable representations: %s", strings.Join(types, ", "))
	e.Status.Details = &metav1.StatusDetails{}
	return e
}

// choose returns the first type in the order of preference of an Accept header that is served with its parameters; allow judges those that
// ask for another kind of object. An empty header is satisfied with JSON.
func choose(accept string, allow func(media string, params map[string]string) bool) (string, map[string]string, bool) {
	if accept == "" {
		return mediaJSON, nil, true
	}
	if len(accept) > maxAccept {
		return "", nil, false
	}
	if slices.Contains([]string{mediaJSON, mediaYAML, mediaProtobuf}, accept) && allow(accept, nil) {
		return accept, nil, true // What most clients send needs no parser.
	}
	for _, clause := range goautoneg.ParseAccept(accept) {
		for _, media := range []string{mediaJSON, mediaYAML, mediaProtobuf} {
			if covers(clause, media) && streams(media, clause.Params) && clause.Params["sv"] == "" && allow(media, clause.Params) {
				return media, clause.Params, true
			}
		}
	}
	return "", nil, false
}

// covers reports whether a clause of an Accept header names the type, or a range with it.
func covers(clause goautoneg.Accept, media string) bool {
	if clause.Type == "*" && clause.SubType == "*" {
		return true
	}
	prefix, subtype, _ := strings.Cut(media, "/")
	return clause.Type == prefix && (clause.SubType == subtype || clause.SubType == "*")
}

// streams reports whether what the stream parameter asks for exists; there are no streams of YAML.
func streams(media string, params map[string]string) bool {
	stream := params["stream"]
	return stream == "" || (stream == "watch" && media != mediaYAML)
}

// plain allows no other kind of object than the one that is there.
func plain(_ string, params map[string]string) bool {
	for _, key := range []string{"as", "g", "v"} {
		if _, ok := params[key]; ok {
			return false
		}
	}
	return true
}

// transform allows the kinds that every object can be turned into. Tables exist in JSON and YAML only, and so does
// v1beta1: its lists are another message in protobuf.
func (*format) transform(media string, params map[string]string) bool {
	if plain(media, params) {
		return true
	}
	version := resource.MetaVersion(params["v"])
	known := params["g"] == "meta.k8s.io" && (version == resource.MetaV1 || (version == resource.MetaV1beta1 && media != mediaProtobuf))
	switch params["as"] {
	case asTable:
		return known && media != mediaProtobuf
	case asPartial, asPartialList:
		return known
	}
	return false
}

func (f *format) includeFrom(r *http.Request) error {
	if f.as != asTable {
		return nil
	}
	switch include := resource.IncludeObject(queryValue(r, "includeObject")); include {
	case "":
	case resource.IncludeNone, resource.IncludeMetadata, resource.IncludeWhole:
		f.table.Include = include
	default:
		return api.BadRequest("Unable to convert to Table as requested: includeObject: Invalid value: %q: "+
			"must be 'Metadata', 'Object', 'None', or empty", string(include))
	}
	return nil
}

// notAcceptable is the refusal of the second step.
func notAcceptable(stream bool) error {
	types := "application/json, application/yaml, application/vnd.kubernetes.protobuf"
	if stream {
		types = "application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"
	}
	return api.NotAcceptable("only the following media types are accepted: %s", types)
}

// notOfShape refuses to turn one object into a list, or a list into one object.
func notOfShape(text string) error { return api.NotAcceptable("%s", text) }
