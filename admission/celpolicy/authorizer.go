package celpolicy

import (
	"context"

	"github.com/google/cel-go/common/types/ref"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/cel/library"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/authz"
)

// authorizerFor makes the variables authorizer and authorizer.requestResource, which ask the server's own authorization. How often an
// expression may ask is bounded by what a check costs.
func authorizerFor(r *request) (check, resource ref.Val) {
	u := r.Permit.User()
	info := &user.DefaultInfo{Name: u.Name, UID: u.UID, Groups: u.Groups, Extra: u.Extra}
	asked := asker{r.ctx, r.config.Authorizer}
	return library.NewAuthorizerVal(info, asked), library.NewResourceAuthorizerVal(info, asked, under{r})
}

// asker implements authorizer.Authorizer.
type asker struct {
	ctx        context.Context // of the request; the library gives none
	authorizer authz.Authorizer
}

// Authorize implements authorizer.Authorizer. Selectors are left out, which asks for more than what is meant.
func (a asker) Authorize(_ context.Context, attributes authorizer.Attributes) (authorizer.Decision, string, error) {
	u := attributes.GetUser()
	decision, reason, err := a.authorizer.Authorize(a.ctx,
		api.User{Name: u.GetName(), UID: u.GetUID(), Groups: u.GetGroups(), Extra: u.GetExtra()},
		api.RequestInfo{
			IsResource: attributes.IsResourceRequest(), Path: attributes.GetPath(), Verb: attributes.GetVerb(), Group: attributes.GetAPIGroup(),
			Version: attributes.GetAPIVersion(), Namespace: attributes.GetNamespace(), Resource: attributes.GetResource(),
			Subresource: attributes.GetSubresource(), Name: attributes.GetName(),
		})
	switch {
	case err != nil && decision != authz.Allow:
		return authorizer.DecisionNoOpinion, reason, err
	case decision == authz.Allow:
		return authorizer.DecisionAllow, reason, nil
	case decision == authz.Deny:
		return authorizer.DecisionDeny, reason, nil
	}
	return authorizer.DecisionNoOpinion, reason, nil
}

// under implements library.Resource: the resource of the request.
type under struct{ r *request }

func (u under) GetName() string                          { return u.r.Name }
func (u under) GetNamespace() string                     { return u.r.Attributes.Namespace }
func (u under) GetResource() schema.GroupVersionResource { return u.r.Resource }
func (u under) GetSubresource() string                   { return u.r.Subresource }
