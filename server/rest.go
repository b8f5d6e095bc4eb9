package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/audit"
	"github.com/gatehouse/gatehouse/authz"
	"github.com/gatehouse/gatehouse/ratelimit"
	"github.com/gatehouse/gatehouse/resource"
)

// REST answers requests for API objects: it reads query and body, calls the verb, and encodes what comes back.
type REST struct {
	// MinWatch is how long a watch lives at least that does not say; the time is spread up to twice that. Zero means 30 minutes.
	MinWatch time.Duration

	service *resource.Service
	lists   bufferPool // for lists
	items   bufferPool // for single objects
	zippers sync.Pool  // of *gzip.Writer
	events  watchMetrics

	backends Backends // nil means that nothing is connected to
}

// NewREST serves the resources of the service.
func NewREST(service *resource.Service) *REST {
	return &REST{
		service: service,
		lists:   bufferPool{size: 320 << 10, keep: 1 << 20},
		items:   bufferPool{size: 8 << 10, keep: 64 << 10},
		events:  newWatchMetrics(),
	}
}

// call is one request for resources.
type call struct {
	*REST
	w      http.ResponseWriter
	r      *http.Request
	permit authz.Permit
	record *audit.Record
	seat   *ratelimit.Seat
	format format
}

// ServeResource implements [Resources].
func (s *REST) ServeResource(w http.ResponseWriter, r *http.Request, p authz.Permit, rec *audit.Record, seat *ratelimit.Seat) error {
	c := &call{REST: s, w: w, r: r, permit: p, record: rec, seat: seat}
	info := p.Info()
	t, ok := s.service.Table.Lookup(info.Group, info.Version, info.Resource)
	if !ok {
		return s.notServed(w, info)
	}
	if _, there := t.Subresource(info.Subresource); t.Deprecated != "" && (there || info.Subresource == "") {
		warningsOf(r.Context()).Add(t.Deprecated)
	}
	if info.Verb == "deletecollection" && !t.Serves(info.Verb, info.Subresource) {
		return api.MethodNotAllowed() // Before its options are looked at.
	}
	if connects(info) {
		return c.connect()
	}
	if r.Method == http.MethodHead {
		return api.MethodNotAllowed()
	}
	var err error
	watch := info.Verb == "watch"
	if c.format, err = negotiate(r, watch || info.Verb == "list", watch); err != nil {
		return err
	}
	ctx := r.Context()
	switch info.Verb {
	case "get":
		query := queryOf(r)
		if err := refuseExport(query); err != nil {
			return err
		}
		result, err := s.service.Get(ctx, p, query.Get("resourceVersion"))
		return c.answer(result, err)
	case "list":
		return c.list(ctx)
	case "watch":
		if info.Subresource == "" && t.Serves("list", "") && !t.Serves("watch", "") {
			return apierrors.NewMethodNotSupported(t.GR(), "watch")
		}
		return c.watch(ctx)
	case "create", "update", "patch":
		return c.write(ctx, info.Verb)
	case "delete":
		return c.delete(ctx)
	case "deletecollection":
		return c.deleteCollection(ctx)
	}
	return api.MethodNotAllowed()
}

// refuseExport refuses a parameter that is gone, so that no client takes what it gets for an object without its system fields.
func refuseExport(q url.Values) error {
	if values, has := q["export"]; !has || values[0] == "0" || strings.EqualFold(values[0], "false") {
		return nil
	}
	return api.BadRequest("the export parameter, deprecated since v1.14, is no longer supported")
}

// notServed answers for a resource that is not in the table: with a Status where the group is served, else as for any path that nothing
// serves.
func (s *REST) notServed(w http.ResponseWriter, info api.RequestInfo) error {
	if slices.ContainsFunc(s.service.Table.Groups(), func(g resource.GroupVersions) bool { return g.Group == info.Group }) {
		return api.PathNotFound()
	}
	writeNoPage(w)
	return nil
}

// optionKind names the options of the changing verbs in error messages.
func optionKind(verb string) string {
	switch verb {
	case "create":
		return "CreateOptions"
	case "update":
		return "UpdateOptions"
	}
	return "PatchOptions"
}

func (c *call) write(ctx context.Context, verb string) error {
	options, err := resource.ParseWriteOptions(optionKind(verb), c.r.URL.Query(), verb == "patch" && resource.IsApply(c.r.Header.Get("Content-Type")))
	if err != nil {
		return err
	}
	body, err := c.body()
	if err != nil {
		return err
	}
	c.recordRequest(body)
	w := c.change()
	w.Options = options
	var result resource.Result
	switch verb {
	case "create":
		result, err = c.service.Create(ctx, c.permit, body, w)
	case "update":
		result, err = c.service.Update(ctx, c.permit, body, w)
	default:
		result, err = c.service.Patch(ctx, c.permit, body, w)
	}
	if err == nil && result.Item != nil {
		c.record.SetObject(result.Item.Name)
	}
	return c.answer(result, err)
}

func (c *call) change() resource.Write {
	return resource.Write{
		Warnings: warningsOf(c.r.Context()), Annotate: c.record.Annotate, Named: c.record.SetObject, UserAgent: c.r.UserAgent(),
	}
}

func (c *call) delete(ctx context.Context) error {
	options, err := c.deleteOptions()
	if err != nil {
		return err
	}
	result, err := c.service.Delete(ctx, c.permit, options, c.change())
	return c.answer(result, err)
}

func (c *call) deleteOptions() (metav1.DeleteOptions, error) {
	body, err := c.body()
	if err != nil {
		return metav1.DeleteOptions{}, err
	}
	return resource.ParseDeleteOptions(c.r.URL.Query(), body)
}

func (c *call) deleteCollection(ctx context.Context) error {
	list, err := resource.ParseListOptions(c.r.URL.Query())
	if err != nil {
		return err
	}
	options, err := c.deleteOptions()
	if err != nil {
		return err
	}
	l, err := c.service.DeleteCollection(ctx, c.permit, list, options, c.change())
	if err != nil {
		return err
	}
	c.seat.Charge(l.Bytes)
	return c.sendList(l)
}

func (c *call) list(ctx context.Context) error {
	options, err := resource.ParseListOptions(c.r.URL.Query())
	if err != nil {
		return err
	}
	l, err := c.service.List(ctx, c.permit, options)
	if err != nil {
		return err
	}
	c.seat.Charge(l.Bytes)
	return c.sendList(l)
}

// body reads the request's body to its end. The pipeline has bounded it.
func (c *call) body() (resource.Body, error) {
	data, err := io.ReadAll(c.r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return resource.Body{}, err
	case err != nil:
		return resource.Body{}, api.BadRequest("the body of the request could not be read").Wrap(err)
	}
	return resource.Body{ContentType: c.r.Header.Get("Content-Type"), Data: data}, nil
}

// maxRecordedYAML bounds the YAML bodies that are recorded, in bytes: they are parsed once more for it.
const maxRecordedYAML = 64 << 10

// annotationNoBody says in an audit record why a body that its policy wants is missing.
const annotationNoBody = "server.gatehouse.dev/request-object"

// recordRequest gives the body to the audit record, as JSON, where its policy asks for that. What cannot be turned into JSON will be
// refused and is not recorded.
func (c *call) recordRequest(body resource.Body) {
	if !c.record.WantsRequestObject() {
		return
	}
	data := body.Data
	if strings.Contains(body.ContentType, "yaml") {
		if len(data) > maxRecordedYAML {
			c.record.Annotate(annotationNoBody, "the body is YAML over the bound for recording")
			return
		}
		var err error
		if data, err = yaml.YAMLToJSON(data); err != nil {
			return
		}
	}
	if json.Valid(data) {
		c.record.SetRequestObject(data)
	}
}

// answer encodes a result, or passes the error on to be rendered by the pipeline.
func (c *call) answer(r resource.Result, err error) error {
	if err != nil {
		return err
	}
	if r.Item == nil {
		return c.sendObject(r.Code, r.Object)
	}
	if c.record.WantsResponseObject() {
		c.record.SetResponseObject(r.Type.AppendObject(nil, r.Item))
	}
	room := c.items.get()
	b, err := c.encodeItem(*room, r)
	if err != nil {
		return err
	}
	if err := c.send(r.Code, b); err != nil {
		return err
	}
	c.items.put(room, b)
	return nil
}

func (c *call) encodeItem(b []byte, r resource.Result) ([]byte, error) {
	t, i := r.Type, r.Item
	switch {
	case c.format.as == asTable:
		return c.service.AppendTable(b, t, i, c.format.table, true, c.service.Now())
	case c.format.as == asPartial && c.format.media == mediaProtobuf:
		return t.AppendPartialProtobuf(b, i)
	case c.format.as == asPartial:
		return t.AppendPartial(b, i, c.format.table.Version), nil
	case c.format.as != "":
		return nil, notOfShape("you requested PartialObjectMetadataList, but the requested object is not a list")
	case c.format.media == mediaProtobuf:
		return t.AppendProtobuf(b, i)
	}
	return t.AppendObject(b, i), nil
}

// sendObject encodes an answer that is not a stored object.
func (c *call) sendObject(code int, o runtime.Object) error {
	if s, ok := o.(*autoscalingv1.Scale); ok {
		var err error
		if o, err = c.transformScale(s); err != nil {
			return err
		}
	} else if _, ok := o.(metav1.Object); ok && c.format.as == asTable {
		return notAcceptable(false) // Reviews and the like have no columns.
	}
	c.format.as = ""
	gvk := o.GetObjectKind().GroupVersionKind()
	if _, ok := o.(*metav1.Status); ok && gvk.Kind == "" {
		gvk.Version, gvk.Kind = "v1", "Status"
		o.GetObjectKind().SetGroupVersionKind(gvk)
	}
	if c.format.media == mediaProtobuf {
		m, ok := o.(interface{ Marshal() ([]byte, error) })
		if !ok {
			return notAcceptable(false)
		}
		raw, err := m.Marshal()
		if err != nil {
			return fmt.Errorf("encode %s: %w", gvk.Kind, err)
		}
		b := resource.AppendEnvelope(nil, gvk.GroupVersion().String(), gvk.Kind, len(raw))
		return c.send(code, resource.AppendEnvelopeEnd(append(b, raw...)))
	}
	b, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("encode %s: %w", gvk.Kind, err)
	}
	return c.send(code, b)
}
