package admission_test

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// rights are what a user may do: "verb resource/subresource namespace/name".
type rights map[string]bool

func (r rights) Authorize(_ context.Context, _ api.User, info api.RequestInfo) (authz.Decision, string, error) {
	if r["broken"] {
		return authz.NoOpinion, "", errors.New("the webhook is gone")
	}
	if r[info.Verb+" "+info.Resource+"/"+info.Subresource+" "+info.Namespace+"/"+info.Name] {
		return authz.Allow, "", nil
	}
	return authz.NoOpinion, "no", nil
}

// served are two kinds, one of them cluster-scoped.
type served struct{}

func (served) Kind(kind schema.GroupVersionKind) (string, bool, bool) {
	switch kind.Kind {
	case "Deployment":
		return "deployments", true, kind.Group == "apps"
	case "Node":
		return "nodes", false, true
	}
	return "", false, false
}

func owner(kind, uid string, block *bool) metav1.OwnerReference {
	return metav1.OwnerReference{APIVersion: "apps/v1", Kind: kind, Name: "d", UID: types.UID(uid), BlockOwnerDeletion: block}
}

func TestOwnersNeedRights(t *testing.T) {
	const (
		cannotDelete   = `pods "web" is forbidden: cannot set an ownerRef on a resource you can't delete: no, <nil>`
		cannotFinalize = `pods "web" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: no, <nil>`
	)
	type refs = []metav1.OwnerReference
	yes, no := ptr(true), ptr(false)
	deletes := rights{"delete pods/ default/web": true}
	for name, test := range map[string]struct {
		rights   rights
		update   bool
		old, now refs
		message  string
	}{
		"a create with an owner":                  {nil, false, nil, refs{owner("Deployment", "1", nil)}, ""},
		"a create that blocks":                    {nil, false, nil, refs{owner("Deployment", "1", yes)}, cannotFinalize},
		"by who may write all finalizers":         {rights{"update */finalizers /*": true}, false, nil, refs{owner("Nonsense", "1", yes)}, ""},
		"by who may write those of the owner":     {rights{"update deployments/finalizers default/d": true}, false, nil, refs{owner("Deployment", "1", yes)}, ""},
		"of one without a namespace":              {rights{"update nodes/finalizers /d": true}, false, nil, refs{owner("Node", "1", yes)}, ""},
		"of one of two":                           {rights{"update nodes/finalizers /d": true}, false, nil, refs{owner("Node", "1", yes), owner("Deployment", "2", yes)}, cannotFinalize},
		"of a kind that is not served":            {nil, false, nil, refs{owner("Nonsense", "1", yes)}, `pods "web" is forbidden: cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion apps/v1 Kind Nonsense: no matches for kind "Nonsense" in version "apps/v1"`},
		"an update that leaves them":              {nil, true, refs{owner("Deployment", "1", yes)}, refs{owner("Deployment", "1", yes)}, ""},
		"an update that adds one":                 {nil, true, nil, refs{owner("Deployment", "1", nil)}, cannotDelete},
		"an update that takes one away":           {nil, true, refs{owner("Deployment", "1", nil)}, nil, cannotDelete},
		"by who may delete the object":            {deletes, true, nil, refs{owner("Deployment", "1", nil)}, ""},
		"that blocks from now on":                 {deletes, true, refs{owner("Deployment", "1", no)}, refs{owner("Deployment", "1", yes)}, cannotFinalize},
		"that blocked before":                     {deletes, true, refs{owner("Deployment", "1", yes)}, refs{owner("Deployment", "1", yes), owner("Node", "2", nil)}, ""},
		"that blocks another of the same name":    {deletes, true, refs{owner("Deployment", "1", yes)}, refs{owner("Deployment", "2", yes)}, cannotFinalize},
		"an authorizer that fails allows nothing": {rights{"broken": true}, false, nil, refs{owner("Deployment", "1", yes)}, `pods "web" is forbidden: cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: , <nil>`},
		"and its error is not for the client":     {rights{"broken": true}, true, nil, refs{owner("Deployment", "1", nil)}, `pods "web" is forbidden: cannot set an ownerRef on a resource you can't delete: , <nil>`},
	} {
		t.Run(name, func(t *testing.T) {
			p := admission.OwnerReferencesPermissionEnforcement{Authorizer: test.rights, Kinds: served{}}
			a := podAttributes(t, "default")
			a.Object = &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", OwnerReferences: test.now}}
			if test.update {
				a.Operation, a.OldObject = admission.Update, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web", OwnerReferences: test.old}}
			}
			if _, got := refusal(t, p.Validate(t.Context(), a)); got != test.message {
				t.Errorf("got  %s\nwant %s", got, test.message)
			}
			a.Subresource = "status"
			if err := p.Validate(t.Context(), a); err != nil {
				t.Errorf("the status of a pod, which cannot change them: %v", err)
			}
			a.Subresource, a.Permit = "", authz.System("garbage collection", a.Permit.Info())
			if err := p.Validate(t.Context(), a); err != nil {
				t.Errorf("the server itself: %v", err)
			}
		})
	}
}
