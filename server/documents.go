package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/api"
)

// parametersAggregated follow the media type of aggregated discovery, in the spelling of the reference.
const parametersAggregated = ";g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

// typeAggregated is aggregated discovery in JSON.
const typeAggregated = typeJSON + parametersAggregated

// serveDocument answers with a discovery document in the form that the client accepts first.
func serveDocument(w http.ResponseWriter, r *http.Request, doc document) error {
	if doc.strict && r.Method != http.MethodGet {
		return api.MethodNotAllowed()
	}
	accept := r.Header.Get("Accept")
	if doc.aggregated != nil {
		if media, params, ok := choose(accept, aggregatedOrPlain); ok && params["as"] != "" {
			return serveAggregated(w, r, doc.aggregated, media, params)
		}
	}
	if doc.strict && accept != "" {
		if err := produced(accept, false, mediaJSON, mediaYAML, mediaProtobuf); err != nil {
			return err
		}
	}
	media, params, ok := choose(accept, plain)
	if !ok {
		return notAcceptable(false)
	}
	return doc.write(w, media, media, wantsPretty(r) || params["pretty"] == "1")
}

// serveAggregated answers with the aggregated form of a document.
func serveAggregated(w http.ResponseWriter, r *http.Request, doc *document, media string, params map[string]string) error {
	h := w.Header()
	h.Set("Vary", "Accept")
	h.Set("Cache-Control", "public")
	h.Set("Etag", doc.etag)
	if etagMatches(r, doc.etag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return doc.write(w, media, media+parametersAggregated, wantsPretty(r) || params["pretty"] == "1")
}

// aggregatedOrPlain allows a discovery document as it is or aggregated.
func aggregatedOrPlain(media string, params map[string]string) bool {
	return plain(media, params) ||
		(params["as"] == "APIGroupDiscoveryList" && params["g"] == "apidiscovery.k8s.io" && params["v"] == "v2")
}

// write sends the document in one of its forms. YAML and indented JSON are made for the occasion: programs ask for neither.
func (d *document) write(w http.ResponseWriter, media, contentType string, pretty bool) error {
	body := d.body
	switch {
	case media == mediaProtobuf:
		body = d.protobuf
	case media == mediaYAML:
		var err error
		if body, err = yaml.JSONToYAML(d.body); err != nil {
			return fmt.Errorf("encode a discovery document as YAML: %w", err)
		}
	case pretty:
		var indented bytes.Buffer
		if err := json.Indent(&indented, bytes.TrimSuffix(d.body, []byte("\n")), "", "  "); err != nil {
			return fmt.Errorf("indent a discovery document: %w", err)
		}
		body = indented.Bytes()
	}
	write(w, contentType, http.StatusOK, body)
	return nil
}
