// Unity (2021 or newer): a prompt becomes a GLB file through the HTTP API of a running studio.
//
// Start `exuvia studio`, put this component on an object, and call StartCoroutine(Generate(...)). Import the file at run
// time with a glTF package such as glTFast, or in the editor by dropping it into Assets.

using System;
using System.Collections;
using System.IO;
using UnityEngine;
using UnityEngine.Networking;

public class ExuviaMotion : MonoBehaviour
{
    [Tooltip("Address of the studio")] public string url = "http://127.0.0.1:8010";
    [Tooltip("Token of a studio on another machine; empty for this one")] public string token = "";

    [Serializable] private class Ask { public string[] prompts; public int[] seeds; }
    [Serializable] private class Result { public string[] motions; }
    [Serializable] private class Job { public string id; public string state; public string message; public Result result; }

    public IEnumerator Generate(string prompt, int seed, string file, Action<string> done, Action<string> failed)
    {
        string body = JsonUtility.ToJson(new Ask { prompts = new[] { prompt }, seeds = new[] { seed } });
        Job job = null;
        yield return Send("POST", "/api/v1/motion", body, answer => job = Read(answer), failed);
        while (job != null && (job.state == "queued" || job.state == "running"))
        {
            yield return new WaitForSeconds(0.5f);
            string id = job.id;
            job = null;
            yield return Send("GET", "/api/v1/jobs/" + id, null, answer => job = Read(answer), failed);
        }
        if (job == null) yield break; // Send has reported why
        if (job.state != "done")
        {
            failed(job.message);
            yield break;
        }
        string path = "/api/v1/motions/" + job.result.motions[0] + "/file?form=glb&foot_lock=true";
        yield return Send("GET", path, null, answer => { File.WriteAllBytes(file, answer.data); done(file); }, failed);
    }

    private static Job Read(DownloadHandler answer) { return JsonUtility.FromJson<Job>(answer.text); }

    private IEnumerator Send(
        string method, string path, string body, Action<DownloadHandler> done, Action<string> failed)
    {
        using (var request = new UnityWebRequest(url + path, method))
        {
            request.downloadHandler = new DownloadHandlerBuffer();
            if (body != null) request.uploadHandler = new UploadHandlerRaw(System.Text.Encoding.UTF8.GetBytes(body));
            request.SetRequestHeader("content-type", "application/json");
            if (token != "") request.SetRequestHeader("authorization", "Bearer " + token);
            yield return request.SendWebRequest();
            if (request.result == UnityWebRequest.Result.Success) done(request.downloadHandler);
            else failed(request.error + ": " + request.downloadHandler.text);
        }
    }
}
