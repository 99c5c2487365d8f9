// Unreal Engine 5: a prompt becomes a GLB file through the HTTP API of a running studio.
//
// Start `exuvia studio`, add "HTTP", "Json" and "JsonUtilities" to PublicDependencyModuleNames of your Build.cs, and call
// FExuviaMotion::Generate. Import the file with the glTF importer (Interchange) of the engine.

#pragma once

#include "Containers/Ticker.h"
#include "CoreMinimal.h"
#include "Dom/JsonObject.h"
#include "HttpModule.h"
#include "Interfaces/IHttpRequest.h"
#include "Interfaces/IHttpResponse.h"
#include "Misc/FileHelper.h"
#include "Serialization/JsonReader.h"
#include "Serialization/JsonSerializer.h"

class FExuviaMotion : public TSharedFromThis<FExuviaMotion>
{
public:
    FString Url = TEXT("http://127.0.0.1:8010");
    FString Token; // of a studio on another machine; empty for this one
    TFunction<void(const FString& File)> Done;
    TFunction<void(const FString& Message)> Failed;

    void Generate(const FString& Prompt, int32 Seed, const FString& File)
    {
        TSharedRef<FJsonObject> Ask = MakeShared<FJsonObject>();
        Ask->SetArrayField(TEXT("prompts"), {MakeShared<FJsonValueString>(Prompt)});
        Ask->SetArrayField(TEXT("seeds"), {MakeShared<FJsonValueNumber>(Seed)});
        FString Body;
        FJsonSerializer::Serialize(Ask, TJsonWriterFactory<>::Create(&Body));
        Send(TEXT("POST"), TEXT("/api/v1/motion"), Body, [this, File](FHttpResponsePtr Answer) { Follow(Answer, File); });
    }

private:
    void Follow(FHttpResponsePtr Answer, const FString& File)
    {
        TSharedPtr<FJsonObject> Job;
        if (!FJsonSerializer::Deserialize(TJsonReaderFactory<>::Create(Answer->GetContentAsString()), Job)) {
            Failed(TEXT("the studio's answer is no JSON"));
            return;
        }
        const FString State = Job->GetStringField(TEXT("state"));
        if (State == TEXT("queued") || State == TEXT("running")) {
            const FString Path = TEXT("/api/v1/jobs/") + Job->GetStringField(TEXT("id"));
            FTSTicker::GetCoreTicker().AddTicker(
                FTickerDelegate::CreateLambda([Self = AsShared(), Path, File](float) {
                    Self->Send(TEXT("GET"), Path, FString(),
                        [Self, File](FHttpResponsePtr Next) { Self->Follow(Next, File); });
                    return false;
                }),
                0.5f);
        } else if (State == TEXT("done")) {
            const FString Motion = Job->GetObjectField(TEXT("result"))->GetArrayField(TEXT("motions"))[0]->AsString();
            const FString Path = TEXT("/api/v1/motions/") + Motion + TEXT("/file?form=glb&foot_lock=true");
            Send(TEXT("GET"), Path, FString(), [this, File](FHttpResponsePtr Glb) {
                FFileHelper::SaveArrayToFile(Glb->GetContent(), *File) ? Done(File) : Failed(TEXT("cannot write ") + File);
            });
        } else {
            Failed(Job->GetStringField(TEXT("message")));
        }
    }

    void Send(const FString& Verb, const FString& Path, const FString& Body, TFunction<void(FHttpResponsePtr)> Next)
    {
        TSharedRef<IHttpRequest> Request = FHttpModule::Get().CreateRequest();
        Request->SetVerb(Verb);
        Request->SetURL(Url + Path);
        Request->SetHeader(TEXT("content-type"), TEXT("application/json"));
        if (!Token.IsEmpty()) {
            Request->SetHeader(TEXT("authorization"), TEXT("Bearer ") + Token);
        }
        if (!Body.IsEmpty()) {
            Request->SetContentAsString(Body);
        }
        Request->OnProcessRequestComplete().BindLambda(
            [Self = AsShared(), Next](FHttpRequestPtr, FHttpResponsePtr Answer, bool bConnected) {
                if (bConnected && EHttpResponseCodes::IsOk(Answer->GetResponseCode())) {
                    Next(Answer);
                } else {
                    Self->Failed(bConnected ? Answer->GetContentAsString() : TEXT("the studio cannot be reached"));
                }
            });
        Request->ProcessRequest();
    }
};
