//lint:file-ignore SA1019 OrphanDependents is deprecated for clients; a server has to read it.

package resource

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/gatehouse/gatehouse/api"
)

// MaxFieldManager bounds the fieldManager parameter, in bytes.
const MaxFieldManager = 128

// ListOptions are the parameters of list, watch and deletecollection.
type ListOptions struct {
	Labels labels.Selector
	Fields fields.Selector
	// ResourceVersion and Match choose how fresh or which state is read; see the Kubernetes API concepts.
	ResourceVersion string
	Match           metav1.ResourceVersionMatch
	// Limit and Continue page a list; Limit 0 or below means everything.
	Limit    int64
	Continue string
	// Timeout ends a watch; 0 leaves it to the server.
	Timeout time.Duration
	// Bookmarks and InitialEvents are allowWatchBookmarks and sendInitialEvents of a watch.
	Bookmarks     bool
	InitialEvents *bool
	// SkipBroken leaves out objects that cannot be decoded instead of ending a watch over them. It is for the server's own loops, which
	// must go on without what they cannot read.
	SkipBroken bool
}

// WriteOptions are the parameters of create, update and patch.
type WriteOptions struct {
	DryRun     bool
	Validation Validation
	// FieldManager is who comes to own what is written; empty stands for the program that the User-Agent names.
	FieldManager string
	// Force lets an apply take fields from their owners.
	Force bool
}

// ParseListOptions reads the query of a list, watch or deletecollection.
func ParseListOptions(q url.Values) (ListOptions, error) {
	o := ListOptions{
		ResourceVersion: q.Get("resourceVersion"), Match: metav1.ResourceVersionMatch(q.Get("resourceVersionMatch")),
		Continue: q.Get("continue"), Bookmarks: boolean(q, "allowWatchBookmarks"),
	}
	var err error
	if o.Labels, err = api.ParseLabelSelector(q.Get("labelSelector")); err != nil {
		return o, err
	}
	if o.Fields, err = api.ParseFieldSelector(q.Get("fieldSelector")); err != nil {
		return o, err
	}
	if o.Limit, err = integer(q, "limit"); err != nil {
		return o, err
	}
	seconds, err := integer(q, "timeoutSeconds")
	if err != nil {
		return o, err
	}
	o.Timeout = time.Duration(min(max(seconds, 0), 1<<31)) * time.Second
	if q.Has("sendInitialEvents") {
		v := boolean(q, "sendInitialEvents")
		o.InitialEvents = &v
	}
	return o, nil
}

// check applies the rules between the parameters of a list.
func (o ListOptions) check() error {
	root := field.NewPath("resourceVersionMatch")
	var errs field.ErrorList
	if o.Match != "" {
		if o.ResourceVersion == "" {
			errs = append(errs, field.Forbidden(root, "resourceVersionMatch is forbidden unless resourceVersion is provided"))
		}
		if o.Continue != "" {
			errs = append(errs, field.Forbidden(root, "resourceVersionMatch is forbidden when continue is provided"))
		}
		if o.Match != metav1.ResourceVersionMatchExact && o.Match != metav1.ResourceVersionMatchNotOlderThan {
			errs = append(errs, field.NotSupported(root, o.Match, []string{"Exact", "NotOlderThan", ""}))
		}
		if o.Match == metav1.ResourceVersionMatchExact && o.ResourceVersion == "0" {
			errs = append(errs, field.Forbidden(root, `resourceVersionMatch "exact" is forbidden for resourceVersion "0"`))
		}
	}
	if o.InitialEvents != nil {
		errs = append(errs, field.Forbidden(field.NewPath("sendInitialEvents"), "sendInitialEvents is forbidden for list"))
	}
	return optionErrors("ListOptions", errs)
}

// checkWatch applies the rules between the parameters of a watch.
func (o ListOptions) checkWatch() error {
	var errs field.ErrorList
	root := field.NewPath("resourceVersionMatch")
	older := o.Match == metav1.ResourceVersionMatchNotOlderThan
	if o.InitialEvents != nil && !older {
		errs = append(errs, field.Forbidden(root, "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"))
	}
	if o.InitialEvents == nil && o.Match != "" {
		errs = append(errs, field.Forbidden(root, "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"))
	}
	if o.Match != "" && !older {
		errs = append(errs, field.NotSupported(root, o.Match, []string{"NotOlderThan"}))
	}
	// A watch that says nothing but where it begins is taken for one with initial events and a match.
	matches := o.Match != "" || (o.InitialEvents == nil && (o.ResourceVersion == "" || o.ResourceVersion == "0"))
	if matches && o.Continue != "" {
		errs = append(errs, field.Forbidden(root, "resourceVersionMatch is forbidden when continue is provided"))
	}
	return optionErrors("ListOptions", errs)
}

// ParseWriteOptions reads the query of a create, update or patch; kind is CreateOptions, UpdateOptions or PatchOptions, and apply tells
// whether the patch is a configuration to apply (see [IsApply]).
func ParseWriteOptions(kind string, q url.Values, apply bool) (WriteOptions, error) {
	o := WriteOptions{Validation: Validation(q.Get("fieldValidation")), FieldManager: q.Get("fieldManager")}
	var errs field.ErrorList
	o.DryRun, errs = dryRun(q["dryRun"])
	if len(o.FieldManager) > MaxFieldManager {
		errs = append(errs, field.TooLong(field.NewPath("fieldManager"), "", MaxFieldManager))
	}
	for i, r := range o.FieldManager {
		if !unicode.IsPrint(r) {
			errs = append(errs, field.Invalid(field.NewPath("fieldManager"), o.FieldManager,
				fmt.Sprintf("invalid character %#U (at position %d)", r, i)))
			break
		}
	}
	if kind == "PatchOptions" {
		errs = append(errs, o.parseApply(q, apply)...)
	}
	switch o.Validation {
	case "":
		o.Validation = ValidationWarn
	case ValidationIgnore, ValidationWarn, ValidationStrict:
	default:
		errs = append(errs, field.NotSupported(field.NewPath("fieldValidation"), o.Validation,
			[]Validation{"", ValidationIgnore, ValidationStrict, ValidationWarn}))
	}
	return o, optionErrors(kind, errs)
}

// parseApply reads what only an apply may or must have.
func (o *WriteOptions) parseApply(q url.Values, apply bool) (errs field.ErrorList) {
	switch {
	case !apply && q.Has("force"):
		errs = append(errs, field.Forbidden(field.NewPath("force"), "may not be specified for non-apply patch"))
	case apply && o.FieldManager == "":
		errs = append(errs, field.Required(field.NewPath("fieldManager"), "is required for apply patch"))
	}
	o.Force = apply && boolean(q, "force")
	return errs
}

// ParseDeleteOptions reads the query and then the body of a delete; the body wins where both speak.
func ParseDeleteOptions(q url.Values, body Body) (metav1.DeleteOptions, error) {
	var o metav1.DeleteOptions
	o.DryRun = q["dryRun"]
	if q.Has("gracePeriodSeconds") {
		n, err := integer(q, "gracePeriodSeconds")
		if err != nil {
			return o, err
		}
		o.GracePeriodSeconds = &n
	}
	if q.Has("orphanDependents") {
		v := boolean(q, "orphanDependents")
		o.OrphanDependents = &v
	}
	if v := q.Get("propagationPolicy"); v != "" {
		p := metav1.DeletionPropagation(v)
		o.PropagationPolicy = &p
	}
	if len(body.Data) == 0 {
		// Beside a body these two are what a client says of the list that it deletes, and no preconditions.
		o.Preconditions = preconditions(q)
	}
	if err := decodeDeleteOptions(body, &o); err != nil {
		return o, err
	}
	_, errs := dryRun(o.DryRun)
	policy := field.NewPath("propagationPolicy")
	if p := o.PropagationPolicy; p != nil {
		known := []metav1.DeletionPropagation{metav1.DeletePropagationForeground, metav1.DeletePropagationBackground, metav1.DeletePropagationOrphan}
		if !slices.Contains(known, *p) {
			errs = append(errs, field.NotSupported(policy, *p, append(known, "nil")))
		}
		if o.OrphanDependents != nil {
			errs = append(errs, field.Invalid(policy, *p, "orphanDependents and deletionPropagation cannot be both set"))
		}
	}
	return o, optionErrors("DeleteOptions", errs)
}

// preconditions are those in the query of a delete, nil if there are none.
func preconditions(q url.Values) *metav1.Preconditions {
	var p metav1.Preconditions
	if uid := types.UID(q.Get("uid")); uid != "" {
		p.UID = &uid
	}
	if version := q.Get("resourceVersion"); version != "" {
		p.ResourceVersion = &version
	}
	if p.UID == nil && p.ResourceVersion == nil {
		return nil
	}
	return &p
}

func optionErrors(kind string, errs field.ErrorList) error {
	if len(errs) == 0 {
		return nil
	}
	return api.Invalid(schema.GroupKind{Group: "meta.k8s.io", Kind: kind}, "", errs)
}

func dryRun(values []string) (bool, field.ErrorList) {
	for _, v := range values {
		if v != metav1.DryRunAll {
			return false, field.ErrorList{field.NotSupported(field.NewPath("dryRun"), values, []string{metav1.DryRunAll})}
		}
	}
	return len(values) > 0, nil
}

func boolean(q url.Values, key string) bool {
	values, ok := q[key]
	return ok && values[0] != "0" && !strings.EqualFold(values[0], "false")
}

// integer reads a number. A parameter without a value is not one.
func integer(q url.Values, key string) (int64, error) {
	if !q.Has(key) {
		return 0, nil
	}
	v := q.Get(key)
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil {
		return 0, api.BadRequest("%v", err)
	}
	return n, nil
}

func formatRevision(r int64) string { return strconv.FormatInt(r, 10) }

// parseRevision reads a resourceVersion given by a client; empty is 0. One that is too large for a revision of etcd is the largest there is.
func parseRevision(s string) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, api.BadRequest("invalid resource version: resourceVersion: Invalid value: %q: %v", s, err)
	}
	return int64(min(n, math.MaxInt64)), nil //nolint:gosec // It is bounded on the same line.
}

// checkPreconditions refuses a deletion of an object that is not the one the client means. What is given has to be equal, also where it
// is empty: a client that has lost the uid that it read must not delete whatever has the name now.
func checkPreconditions(r schema.GroupResource, o Object, p *metav1.Preconditions) error {
	switch {
	case p == nil:
	case p.UID != nil && *p.UID != o.GetUID():
		return api.Conflict(r, o.GetName(), fmt.Errorf(
			"the UID in the precondition (%s) does not match the UID in record (%s). The object might have been deleted and then recreated", *p.UID, o.GetUID()))
	case p.ResourceVersion != nil && *p.ResourceVersion != o.GetResourceVersion():
		return api.Conflict(r, o.GetName(), fmt.Errorf(
			"the ResourceVersion in the precondition (%s) does not match the ResourceVersion in record (%s). The object might have been modified",
			*p.ResourceVersion, o.GetResourceVersion()))
	}
	return nil
}

// checkNamespacePreconditions is [checkPreconditions] in the words in which the reference refuses it for namespaces.
func checkNamespacePreconditions(r schema.GroupResource, o Object, p *metav1.Preconditions) error {
	switch {
	case p == nil:
	case p.UID != nil && *p.UID != o.GetUID():
		//lint:ignore ST1005 The text is that of the reference.
		return api.Conflict(r, o.GetName(), fmt.Errorf("Precondition failed: UID in precondition: %s, UID in object meta: %s", *p.UID, o.GetUID()))
	case p.ResourceVersion != nil && *p.ResourceVersion != o.GetResourceVersion():
		//lint:ignore ST1005 The text is that of the reference.
		return api.Conflict(r, o.GetName(), fmt.Errorf(
			"Precondition failed: ResourceVersion in precondition: %s, ResourceVersion in object meta: %s", *p.ResourceVersion, o.GetResourceVersion()))
	}
	return nil
}
